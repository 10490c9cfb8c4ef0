"""The machine code of float32 products: what the multiply-adds share their time with."""

import re

import machine_code
import pytest

pytestmark = pytest.mark.skipif(machine_code.why_not() != "", reason=machine_code.why_not())

WINDOW = 500  # instructions: less than a step of the main loop, which is unrolled


def densest(instructions: list[str]) -> float:
    """The largest share of multiply-adds in a window."""
    flags = [bool(re.search(r"\bFFMA\b", instruction)) for instruction in instructions]
    return max(sum(flags[i : i + WINDOW]) for i in range(0, len(flags) - WINDOW, 10)) / WINDOW


def reads(instructions: list[str], what: str) -> int:
    return sum(re.search(what, instruction) is not None for instruction in instructions)


def test_multiply_adds_fill_the_main_loop_and_reads_are_wide():
    kernels = machine_code.float32_products()
    assert len([name for name in kernels if name.startswith("conv_")]) == 3
    assert len([name for name in kernels if name.startswith("gemm_")]) == 5
    for name, instructions in kernels.items():
        assert densest(instructions) > 0.9, name
        # A thread's 8 x 8 sums take 16 numbers a product of depth 8, in units of four from two tiles.
        assert reads(instructions, r"\bLDS\.128\b") >= 64, name
        any_matrix = "(Read)2, (Read)2" in name
        assert (reads(instructions, r"\bLDG\.E\.128\b") > 0) is not any_matrix, name
