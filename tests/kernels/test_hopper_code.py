"""The machine code of the kernels for Hopper: matrix units that run ahead, and copies by the engine."""

import re

import machine_code
import pytest

pytestmark = pytest.mark.skipif(machine_code.why_not() != "", reason=machine_code.why_not())

# Of each kernel: the shapes of its wgmma, and whether the operands are transposed (tnspA, tnspB: MN-major).
WANTED: dict[str, str] = {}


def count(instructions: list[str], pattern: str) -> int:
    return sum(re.search(pattern, instruction) is not None for instruction in instructions)


@pytest.mark.parametrize("kernel", WANTED)
def test_products_run_on_the_matrix_units(kernel):
    found = {name: code for name, code in machine_code.hopper_code().items() if name.startswith(kernel)}
    assert found
    for name, instructions in found.items():
        assert count(instructions, WANTED[kernel]), name
        assert count(instructions, r"^(@\S+ )?UTMALDG\.[2-5]D"), name
        assert not count(instructions, r"\b(LDL|STL)\b"), f"{name} keeps registers in memory"


def test_no_product_waits_for_the_one_before():
    """Where nvcc cannot tell that accumulators are left alone it ends a group after every wgmma."""
    for name, instructions in machine_code.hopper_code().items():
        products = count(instructions, r"\bHGMMA\b")
        if products:
            groups = count(instructions, r"\bHGMMA\b.*\bgsb0\b")
            assert groups > 0 and 3 * groups <= products, f"{name}: {groups} groups of {products} products"
