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


# Kilobytes of shared memory: stages, what a tile leaves by, and barriers, as drawn where each kernel is.
KILOBYTES = {
    r"ConvProblem<\w+, 3, 256, 64": 3 * 56 + 48 + 2,
    r"ConvProblem<\w+, 2, 256, 64": 3 * 48 + 64 + 2,
    r"ConvProblem<\w+, 2, 256, 48": 4 * 36 + 64 + 2,
    r"ConvProblem<\w+, 1, 256, 64": 4 * 40 + 32 + 2,
    r"ConvProblem<\w+, 2, 128, 64": 6 * 32 + 32 + 2,
    r"ConvRowProblem<\w+, 2, 1": 4 * 36 + 64 + 2,
    r"ConvRowProblem<true, 1, 2": 4 * 42 + 32 + 2,
    r"FirstLayerProblem<96, 3, 23>": 3 * 46 + 72 + 12 + 2,
    r"FirstLayerProblem<64, 3, 23>": 3 * 46 + 48 + 8 + 2,
    r"FirstLayerProblem<64, 3, 0>": 3 * 48 + 48 + 8 + 2,
    r"FirstLayerProblem<128, 2, 23>": 2 * 46 + 96 + 16 + 2,
    r"FirstLayerProblem<128, 2, 0>": 2 * 48 + 96 + 16 + 2,
    r"WgradProblem<256, 192,": 4 * 56 + 1,
    r"WgradProblem<384, 96,": 3 * 60 + 1,
    r"WgradProblem<(128, 256|192, 192),": 4 * 48 + 1,
    r"WgradProblem<128, 240,": 4 * 46 + 1,
    r"WgradProblem<(128, 192|64, 256),": 4 * 40 + 1,
    r"WgradProblem<64, 128,": 4 * 24 + 1,
    r"GemmProblem<128,": 6 * 32 + 32 + 1,
    r"GemmProblem<256,": 3 * 48 + 64 + 1,
    r"GemmSgdProblem": 4 * 40 + 64 + 1,
}
MOST = 232448  # bytes that a block can have on compute capability 9.0


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


def columns(name: str) -> int:
    """Of a wgmma: those of the tile, of which three consumers with 256 take half at a time."""
    if name.startswith(("ConvProblem<false, 3, 256,", "ConvProblem<true, 3, 256,")):
        return 128
    found = re.match(r"(?:ConvProblem<\w+, \d+, |WgradProblem<\d+, |FirstLayerProblem<|GemmProblem<)(\d+)", name)
    return int(found[1]) if found else 256


def test_products_are_as_wide_as_the_tile():
    for name, instructions in kernels().items():
        products = [x for x in instructions if re.search(r"\bHGMMA\..*\.BF16\b", x)]
        assert {re.search(r"\.64x(\d+)x16\.", x)[1] for x in products} == {str(columns(name))}, name


def test_results_leave_by_the_copy_engine():
    """bfloat16, by stmatrix and a store of boxes. Pieces of a filter gradient are float32, 16 bytes a thread."""
    for name, instructions in kernels().items():
        by_engine = not name.startswith("WgradProblem<")
        assert (count(instructions, r"\bSTSM\.16\.M?T?88\.4\b") > 0) is by_engine, name
        assert (count(instructions, r"\bUTMASTG\.[2-4]D\b") > 0) is by_engine, name
        assert (count(instructions, r"\bSTG\.E\.128\b") > 0) is not by_engine, name
        masked = re.match(r"Conv(Row)?Problem<true", name) is not None
        assert (count(instructions, r"\bLDSM\.16\.M88\.4\b") > 0) is masked, name


def test_shared_memory_stays_within_its_budget():
    for name, instructions in kernels().items():
        used = machine_code.dynamic_shared(instructions)
        (budget,) = (1024 * size for pattern, size in KILOBYTES.items() if re.match(pattern, name))
        print(f"{used} of {budget} bytes of shared memory, of {MOST} that a block can have  {name}")
        assert used <= budget <= MOST, name


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
