"""Runs checks on another `_emulated` than the installed one, in a process of its own.

    closer_run.py MODULE cases DTYPE [OPERATION ...]    small cases of all operations, or of those
    closer_run.py MODULE towers                         two steps on two devices, then without each of their waits

Prints what runs before it does, so that the last line says where a sanitizer ended the process, and a line for all that
is wrong. Exit status 1 when something was.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "alexnet_cuda._emulated"
CONVOLUTIONS = ("conv2d", "conv2d_dgrad", "conv2d_wgrad")


def use_module(path: str) -> Any:
    """Make the package find the module at `path` where its own would be."""
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tile_cases() -> list[Any]:
    """A convolution for each size of tile: those of closer_builds.py are chosen by the number of filters alone."""
    from alexnet_cuda.checks.cases.conv import ConvCase

    return [
        ConvCase(f"{k} filters", (k, 3, 3, 16), (k, 2, 2, k), pad=1, relu=True, relu_below=True)
        for k in (28, 60, 92, 124)
    ]


def cases_of(operation: Any) -> Iterator[Any]:
    for case in operation.cases:
        # A grid that is full takes a minute here, and shows nothing new of threads and memory.
        if not case.name.startswith(("alexnet_", "vgg16", "more than a grid")):
            yield case
    if operation.name in CONVOLUTIONS:
        yield from tile_cases()


def run_cases(dtype: str, *names: str) -> int:
    from alexnet_cuda.checks import OPERATIONS
    from alexnet_cuda.checks.runner import VALUES, check_case

    wrong = 0
    for operation in (OPERATIONS[name] for name in names or OPERATIONS):
        for case in cases_of(operation):
            for values in VALUES:  # at addresses that are multiples of 16 bytes, and at others
                print(operation.name, case.name, values, sep=", ", flush=True)
                try:
                    rows = check_case(operation, case, values, "emulated", dtype)
                except NotImplementedError as error:
                    print(f"no kernel: {error}", flush=True)
                    continue
                for row in rows:
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


if __name__ == "__main__":
    use_module(sys.argv[1])
    found = run_towers() if sys.argv[2] == "towers" else run_cases(*sys.argv[3:])
    sys.exit(1 if found else 0)
