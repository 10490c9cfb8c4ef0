"""The machine code of float32: what the multiply-adds of products share their time with, and accesses of 16 bytes."""

import re

import machine_code
import pytest

pytestmark = pytest.mark.skipif(machine_code.why_not() != "", reason=machine_code.why_not())

WINDOW = 500  # instructions: less than a step of the main loop, which is unrolled


def densest(instructions: list[str]) -> float:
    """The largest share of multiply-adds in a window."""
    flags = [bool(re.search(r"\bFFMA\b", instruction)) for instruction in instructions]
    return max(sum(flags[i : i + WINDOW]) for i in range(0, len(flags) - WINDOW, 10)) / WINDOW


def count(instructions: list[str], what: str) -> int:
    return sum(re.search(what, instruction) is not None for instruction in instructions)


def test_multiply_adds_fill_the_main_loop_and_reads_are_wide():
    kernels = {n: code for n, code in machine_code.float32_code().items() if n.startswith(("conv_", "gemm_"))}
    assert len([name for name in kernels if name.startswith("conv_")]) == 3
    assert len([name for name in kernels if name.startswith("gemm_")]) == 5
    for name, instructions in kernels.items():
        assert densest(instructions) > 0.9, name
        # A thread's 8 x 8 sums take 16 numbers a product of depth 8, in units of four from two tiles.
        assert count(instructions, r"\bLDS\.128\b") >= 64, name
        any_matrix = "(Read)2, (Read)2" in name
        assert (count(instructions, r"\bLDG\.E\.128\b") > 0) is not any_matrix, name


# Kernels that do little but move arrays, and how many there are.
MOVING = {
    r"pointwise::(unary|binary)_kernel<": 6,
    r"relu_(forward|backward)_kernel<": 2,
    r"lrn_(forward|backward)_kernel<": 4,
    r"max_pool_(forward|backward)\w*_kernel<": 4,
    r"avg_pool_(forward|backward)_kernel<": 2,
    r"dropout_kernel<": 1,
    r"sgd_momentum_kernel<": 1,
}


@pytest.mark.parametrize("pattern", MOVING)
def test_arrays_move_in_accesses_of_16_bytes(pattern):
    kernels = {name: code for name, code in machine_code.float32_code().items() if re.match(pattern, name)}
    assert len(kernels) >= MOVING[pattern]
    for name, instructions in kernels.items():
        assert count(instructions, r"\bLDG\.E\.128\b") > 0, name
        assert count(instructions, r"\bSTG\.E\.128\b") > 0, name
