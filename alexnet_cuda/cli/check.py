"""alexnet-cuda check: operations against the NumPy reference."""

import argparse
from typing import Any

from ..checks import OPERATIONS, Row, check
from ..checks.runner import DTYPES, HEADER
from ..ops.backends import BACKENDS

EXAMPLES = f"""\
Every case of an operation runs on integers, where results that floats hold exactly must equal the reference's, and
on normal values, where each element must lie within a bound that rounding explains. The reference computes in float64.

examples:
  alexnet-cuda check                                every operation on the CPU backend
  alexnet-cuda check conv2d lrn --backend cuda      two operations on a GPU
  alexnet-cuda check relu --backend emulated        a CUDA kernel, run on the CPU
  alexnet-cuda check conv2d --case primes --seed 7  one case, other numbers

operations:
  {", ".join(OPERATIONS)}
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="check operations against NumPy",
        description="Check operations against the NumPy reference.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("op", nargs="*", metavar="OP", help="operations to check (default: all)")
    parser.add_argument("--backend", default="cpu", choices=BACKENDS, help="what to check (default: cpu)")
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="of the inputs (default: float32)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the inputs (default: 0)")
    parser.add_argument("--case", metavar="NAME", help="run this case alone, named as the table prints it")
    parser.add_argument("--quiet", action="store_true", help="print failures and the summary only")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    printed = False

    def on_row(row: Row) -> None:
        nonlocal printed
        if arguments.quiet and row.passed:
            return
        if not printed:  # not before: a backend that cannot run here has no table to print
            print(HEADER)
            printed = True
        print(row, flush=True)

    report = check(
        *arguments.op,
        backend=arguments.backend,
        dtype=arguments.dtype,
        seed=arguments.seed,
        case=arguments.case,
        on_row=on_row,
    )
    print(report.summary())
    return 0 if report.passed else 1
