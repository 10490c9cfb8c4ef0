"""Runs checks on another `_emulated` than the installed one, in a process of its own.

    closer_run.py MODULE cases DTYPE [OPERATION ...]    small cases of all operations, or of those
    closer_run.py MODULE towers                         two steps on two devices, then without each of their waits
    closer_run.py MODULE launches                       which tiles the cases for them get
    closer_run.py MODULE hopper VALUES [TEXT]           hopper_cases.py, or its cases with TEXT in their names

Prints what runs before it does, so that the last line says where a sanitizer ended the process, and a line for all that
is wrong. Exit status 1 when something was.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "alexnet_cuda._emulated"
# What chooses the launch of an operation that has several sizes of tiles.
TILED = {"conv2d": "choose_conv_fprop", "conv2d_dgrad": "choose_conv_dgrad", "conv2d_wgrad": "choose_conv_wgrad"}


def use_module(path: str) -> Any:
    """Make the package find the module at `path` where its own would be."""
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tile_cases(operation: str) -> list[Any]:
    """Cases with four tiles of 32, 64, 96 and 128 rows, none of them full: those that closer_builds.py's modules choose
    for them. And one whose sums are in parts, where the operation does that."""
    from alexnet_cuda.checks.cases.conv import ConvCase

    cases = []
    for rows in (28, 60, 92, 124):
        shapes = {
            "conv2d": ((5, 4, 8, 16), (5, 3, 3, rows)),
            "conv2d_dgrad": ((rows, 4, 8, 16), (rows, 3, 3, 8)),
            "conv2d_wgrad": ((50, 2, 2, 16), (50, 3, 3, rows)),
        }[operation]
        cases.append(ConvCase(f"tiles of {rows} rows", *shapes, pad=1, relu=True, relu_below=True))
        if operation == "conv2d" and rows <= 96:  # few channels have a kernel of their own
            cases.append(ConvCase(f"first layer, tiles of {rows} rows", (3, 4, 8, 16), (3, 3, 3, rows), pad=1))
    if operation == "conv2d_wgrad":
        cases.append(ConvCase("sums in parts", (14, 8, 8, 8), (14, 3, 3, 28), pad=1))
    return cases


def launches(module: Any) -> Iterator[str]:
    """What the tile cases get, as text."""
    for operation, choose in TILED.items():
        for case in tile_cases(operation):
            where = (case.stride, case.stride), (case.pad, case.pad)
            config = getattr(module, choose)(case.x, case.w, case.y, *where, case.groups, True, "float32")
            yield f"{operation}: {config}"


# What shows nothing here that others do not: full grids, which take a minute, and a third tile of images.
LEFT_OUT = ("alexnet_", "vgg16", "more than a grid", "batch of 256", "batch of 257")
# On the general kernels they call those of other operations.
COMPOSED = ("conv2d_wgrad_db", "conv2d_wgrad_sgd", "gemm_sgd")


def cases_of(operation: Any) -> Iterator[Any]:
    from alexnet_cuda.checks.cases import conv, gemm

    # hopper_cases.py has more of those for tensor cores.
    elsewhere = {case.name for case in (*conv.TENSOR_CORES, *gemm.TENSOR_CORES)}
    for case in operation.cases[:: 4 if operation.name in COMPOSED else 1]:
        if case.name not in elsewhere and not case.name.startswith(LEFT_OUT):
            yield case
    if operation.name in TILED:
        yield from tile_cases(operation.name)


def run_cases(dtype: str, *names: str) -> int:
    from alexnet_cuda.checks import OPERATIONS
    from alexnet_cuda.checks.runner import VALUES, check_case

    wrong = 0
    for operation in (OPERATIONS[name] for name in names or OPERATIONS):
        for case in cases_of(operation):
            for values in VALUES:  # at addresses that are multiples of 16 bytes, and at others
                print(operation.name, case.name, values, sep=", ", flush=True)
                for row in check_case(operation, case, values, "emulated", dtype):
                    if not row.passed:
                        wrong += 1
                        print(row, flush=True)
    return wrong


def run_towers() -> int:
    """How many steps with all their waits were reported, and how many without one of them were not."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nn"))
    import numpy as np
    from nets import batch, like_alexnet, placed, rates

    net = like_alexnet(0)

    def report(stage: str = "", position: int = 0) -> str:
        graph = placed(net, "emulated:0,emulated:1", dtype=np.float32)
        if stage:
            getattr(graph, stage)[position].after = ()
        try:
            for step in range(2):
                graph.feed_array(*batch(net, step))
                graph.train_step(step, rates(net), 0.9)
            graph.synchronize()
        except RuntimeError as error:
            return str(error)
        return ""

    def verdict(label: str, text: str, wanted: bool) -> int:
        print(f"{label}: {text.splitlines()[0] if text else 'nothing reported'}", flush=True)
        return int(wanted != bool(text))

    wrong = verdict("all waits", report(), wanted=False)
    plan = placed(net, "emulated:0,emulated:1", dtype=np.float32)
    for stage in ("forward_nodes", "backward_nodes"):
        for position, node in enumerate(getattr(plan, stage)):
            if node.after:
                wrong += verdict(f"without the wait of {node.label}", report(stage, position), wanted=True)
    return wrong


def run_hopper(kinds: str, text: str = "") -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from kernels.hopper_cases import CASES

    wrong = 0
    for case in CASES:
        for values in kinds.split(",") if text in str(case) else ():
            if values not in case.values:
                continue
            print(case, values, flush=True)
            try:
                case.judge(values, case.results(values))
            except AssertionError as error:
                wrong += 1
                print(error, flush=True)
    return wrong


MODES = {"cases": run_cases, "towers": run_towers, "hopper": run_hopper}

if __name__ == "__main__":
    chosen_module = use_module(sys.argv[1])
    if sys.argv[2] == "launches":
        print(*launches(chosen_module), sep="\n")
        sys.exit(0)
    sys.exit(1 if MODES[sys.argv[2]](*sys.argv[3:]) else 0)
