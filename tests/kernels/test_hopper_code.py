"""The machine code of the kernels for Hopper: matrix units that run ahead, and copies by the engine."""

import re

import machine_code
import pytest

pytestmark = pytest.mark.skipif(machine_code.why_not() != "", reason=machine_code.why_not())

# Which operands of a kernel's products are MN-major, transposed for the matrix units.
TRANSPOSED = {
    "ConvProblem<false": {"tnspA", "tnspB"},
    "ConvProblem<true": {"tnspB"},
    "ConvRowProblem<false": {"tnspA", "tnspB"},
    "ConvRowProblem<true": {"tnspB"},
    "FirstLayerProblem<": {"tnspA"},
    "WgradProblem<": set(),
    "GemmProblem<128, (simt::Major)0, (simt::Major)0>": set(),
    "GemmProblem<128, (simt::Major)0, (simt::Major)1>": {"tnspB"},
    "GemmProblem<256, (simt::Major)1, (simt::Major)0>": {"tnspA"},
    "GemmProblem<256, (simt::Major)1, (simt::Major)1>": {"tnspA", "tnspB"},
    "GemmSgdProblem": set(),
}
# Registers that a kernel must be compiled to, by those that its roles ask for: setmaxnreg moves what is there from one
# to the other, and waits for ever for what is not.
AT_ENTRY = {(40, 232): 168, (32, 160): 128}
# Products in a loop of any length, between which nvcc puts fences of its own; AlexNet has kernels of constant length.
ANY_LENGTH = re.compile(r"FirstLayerProblem<\d+, \d+, 0>")


def count(instructions: list[str], pattern: str) -> int:
    return sum(re.search(pattern, instruction) is not None for instruction in instructions)


def kernels(prefix: str = "") -> dict[str, list[str]]:
    """Those of the pipeline, by the name of their problem."""
    named = {name.removeprefix("pipeline_kernel<"): code for name, code in machine_code.hopper_code().items()}
    return {
        name: code for name, code in named.items() if name.startswith(prefix) and count(code, r"\bHGMMA\b")
    }  # fmt: skip


@pytest.mark.parametrize("prefix", TRANSPOSED)
def test_products_run_on_the_matrix_units(prefix):
    assert kernels(prefix)
    for name, instructions in kernels(prefix).items():
        products = [x for x in instructions if re.search(r"\bHGMMA\.64x\d+x16\.F32\.BF16\b", x)]
        assert {word for x in products for word in re.findall(r"tnsp[AB]", x)} == TRANSPOSED[prefix], name
        assert count(instructions, r"\bUTMALDG\.[2-5]D"), name


def test_every_kernel_is_known():
    assert len(kernels()) >= 30
    for name in kernels():
        assert name.startswith(tuple(TRANSPOSED)) or name.startswith("GemmProblem<"), name


def test_no_register_is_kept_in_memory_while_products_run():
    for name, instructions in kernels().items():
        products = [i for i, instruction in enumerate(instructions) if "HGMMA" in instruction]
        assert not count(instructions[products[0] : products[-1]], r"\b(LDL|STL)\b"), name


def test_no_product_waits_for_the_one_before():
    """Where nvcc cannot tell that accumulators are left alone it ends a group after every wgmma."""
    for name, instructions in kernels().items():
        if not ANY_LENGTH.match(name):
            products, groups = count(instructions, r"\bHGMMA\b"), count(instructions, r"\bHGMMA\b.*\bgsb0\b")
            assert groups > 0 and 3 * groups <= products, f"{name}: {groups} groups of {products} products"


def test_roles_ask_for_the_registers_that_there_are():
    registers = {
        usage.kernel.removeprefix("pipeline_kernel<"): usage.registers
        for usage in machine_code.usages()
        if usage.kernel.startswith("pipeline_kernel<")
    }
    seen = set()
    for name, instructions in kernels().items():
        asked = [re.search(r"USETMAXREG.*\b(0x[0-9a-f]+)", x) for x in instructions]
        numbers = tuple(sorted({int(match[1], 0) for match in asked if match}))
        if numbers:
            assert registers[name] == AT_ENTRY[numbers], name
            seen.add(numbers)
    assert seen == set(AT_ENTRY)
