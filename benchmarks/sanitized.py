"""Runs smaller cases of every operation, once each and without looking at results: for compute-sanitizer to watch.

    compute-sanitizer --tool memcheck python benchmarks/sanitized.py [--seconds 12] [--only conv2d]

Cases are those of the tests (alexnet_cuda.checks). Every array has an allocation of its own, exactly as large as it is
or with one element before it, so that what is read or written beside it is nobody else's, and results begin
uninitialised. First comes a case of each operation in float32, then, in bfloat16, one for each kernel for the tensor
cores of a Hopper GPU, and then all others in float32. Their order is shuffled, the same each time: a run cut short has
seen some of everything. Exit status: 0; 1 if an operation raised or has no kernel.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from alexnet_cuda import ops
from alexnet_cuda.checks.cases import OPERATIONS
from alexnet_cuda.checks.runner import DTYPES
from alexnet_cuda.checks.table import Operation, generator

LARGEST = 40_000  # elements of a case's arguments, about
FLOAT32, BFLOAT16 = DTYPES["float32"], DTYPES["bfloat16"]

# A case for each kernel in csrc/kernels/*/hopper that operations launch, and for each way to call it: few, because
# these are large for a sanitizer, and each is instrumented when it is first launched.
HOPPER = (
    ("conv2d", "72 channels and filters"),
    ("conv2d_dgrad", "two groups of 3x3"),
    ("conv2d_wgrad", "two groups of 3x3"),
    ("gemm", "40x72x456, a.T @ b"),  # in parts, with a second kernel for their sum
    ("conv2d", "alexnet_2012 conv1, 92x92 pixels"),
    ("conv2d", "two groups of 5x5"),  # rows of taps
    ("conv2d_wgrad", "alexnet_2012 conv1, 92x92 pixels"),
    ("gemm", "136x264x72, a @ b.T"),
    ("conv2d_dgrad", "two groups of 5x5"),
    ("conv2d", "a first layer, 72 images"),
)
Run = tuple[Operation, Any, np.dtype, int]  # the last: elements before each array


def elements(case: Any) -> int:
    """Of the shapes that a case names; sizes that are named one by one count in pairs."""
    values = vars(case)
    shapes = [v for v in values.values() if isinstance(v, tuple) and all(isinstance(size, int) for size in v)]
    sizes = [values[name] for name in ("M", "N", "K", "classes") if name in values]
    return sum(map(math.prod, shapes)) + sum(a * b for a, b in itertools.combinations(sizes, 2))


def schedule(only: str) -> list[Run]:
    """One case of each operation, then those for Hopper, then another of each operation, and so on."""
    chosen = [operation for name, operation in OPERATIONS.items() if only in name]
    columns = []
    for operation in chosen:
        cases = [case for case in operation.cases if elements(case) <= LARGEST]
        random.Random(operation.name).shuffle(cases)
        columns.append([(operation, case) for case in cases])
    pairs = [pair for turn in itertools.zip_longest(*columns) for pair in turn if pair is not None]
    runs = [(*pair, FLOAT32, number // 2 % 2) for number, pair in enumerate(pairs)]
    hopper = [(OPERATIONS[name], case_of(name, case), BFLOAT16, 0) for name, case in HOPPER if only in name]
    return [*runs[: len(chosen)], *hopper, *runs[len(chosen) :]]


def case_of(operation: str, name: str) -> Any:
    return next(case for case in OPERATIONS[operation].cases if case.name == name)


def moved(kwargs: dict[str, Any], array_module: Any, offset: int) -> dict[str, Any]:
    """The arguments with each array in memory of its own, `offset` elements after its beginning."""

    def move(value: np.ndarray) -> Any:
        array = array_module.empty(value.size + offset, value.dtype)[offset:].reshape(value.shape)
        if array_module is np:
            array[...] = value
        else:
            array.set(value)
        return array

    return {name: move(value) if isinstance(value, np.ndarray) else value for name, value in kwargs.items()}


def run_case(operation: Operation, case: Any, dtype: np.dtype, offset: int, array_module: Any) -> None:
    arguments = operation.draw(case, generator(0, operation.name, case.name, "normal"), "normal")
    results = operation.run(moved(arguments.cast(dtype), array_module, offset))
    if array_module is not np:  # reading them shows initcheck what was not written, and waits for the kernel
        for result in results:
            result.get()


def run_until(end: float, runs: list[Run], array_module: Any) -> Iterator[Run]:
    """Those that ran."""
    for run in runs:
        operation, case, dtype, _ = run
        if time.monotonic() > end:
            return
        try:
            run_case(*run, array_module)
        except Exception as error:
            what = f"{operation.name}, case {case.name!r}, {dtype}"
            raise SystemExit(f"{what}: {type(error).__name__}: {error}") from error
        yield run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu", "emulated"), default="cuda")
    parser.add_argument("--seconds", type=float, default=12, help="begin no case after so many (default 12)")
    parser.add_argument("--only", default="", metavar="TEXT", help="operations whose name has this in it")
    options = parser.parse_args()
    array_module: Any = np
    if options.device == "cuda":
        import cupy

        cupy.cuda.set_allocator(None)  # CuPy's pool would put arrays into larger blocks, and use them again
        array_module = cupy
    runs = schedule(options.only)
    begin = time.monotonic()
    with nullcontext() if options.device == "cuda" else ops.backend(options.device):
        done = list(run_until(begin + options.seconds, runs, array_module))
    operations, every = ({operation.name for operation, *_ in some} for some in (done, runs))
    hopper, all_hopper = (sum(dtype == BFLOAT16 for _, _, dtype, _ in some) for some in (done, runs))
    print(
        f"{len(done)} of {len(runs)} cases, {len(operations)} of {len(every)} operations, "
        f"{hopper} of {all_hopper} in bfloat16"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
