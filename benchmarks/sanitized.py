"""Runs smaller cases of every operation, once each and without looking at results: for compute-sanitizer to watch.

    compute-sanitizer --tool memcheck python benchmarks/sanitized.py [--seconds 12] [--only conv2d]

Cases are those of the tests (alexnet_cuda.checks). Every array has an allocation of its own, exactly as large as it is
or with one element before it, so that what is read or written beside it is nobody else's, and results begin
uninitialised. Which cases run first is shuffled, the same each time: a run cut short has seen some of everything.
Exit status: 0; 1 if an operation raised or has no kernel.
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
from alexnet_cuda.checks.table import Operation, generator

LARGEST = 40_000  # elements of a case's arguments, about


def elements(case: Any) -> int:
    """Of the shapes that a case names; sizes that are named one by one count in pairs."""
    values = vars(case)
    shapes = [v for v in values.values() if isinstance(v, tuple) and all(isinstance(size, int) for size in v)]
    sizes = [values[name] for name in ("M", "N", "K", "classes") if name in values]
    return sum(map(math.prod, shapes)) + sum(a * b for a, b in itertools.combinations(sizes, 2))


def schedule(only: str) -> list[tuple[Operation, Any]]:
    """One case of each operation, then another of each, and so on."""
    chosen = [operation for name, operation in OPERATIONS.items() if only in name]
    columns = []
    for operation in chosen:
        cases = [case for case in operation.cases if elements(case) <= LARGEST]
        random.Random(operation.name).shuffle(cases)
        columns.append([(operation, case) for case in cases])
    return [pair for turn in itertools.zip_longest(*columns) for pair in turn if pair is not None]


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


def run_case(operation: Operation, case: Any, array_module: Any, offset: int) -> None:
    arguments = operation.draw(case, generator(0, operation.name, case.name, "normal"), "normal")
    results = operation.run(moved(arguments.cast(np.dtype(np.float32)), array_module, offset))
    if array_module is not np:  # reading them shows initcheck what was not written, and waits for the kernel
        for result in results:
            result.get()


def run_until(end: float, pairs: list[tuple[Operation, Any]], array_module: Any) -> Iterator[str]:
    """The names of operations that ran, one for each case."""
    for number, (operation, case) in enumerate(pairs):
        if time.monotonic() > end:
            return
        try:
            run_case(operation, case, array_module, offset=number // 2 % 2)
        except Exception as error:
            raise SystemExit(f"{operation.name}, case {case.name!r}: {type(error).__name__}: {error}") from error
        yield operation.name


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
    pairs = schedule(options.only)
    begin = time.monotonic()
    with nullcontext() if options.device == "cuda" else ops.backend(options.device):
        done = list(run_until(begin + options.seconds, pairs, array_module))
    print(f"{len(done)} of {len(pairs)} cases, {len(set(done))} of {len({op.name for op, _ in pairs})} operations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
