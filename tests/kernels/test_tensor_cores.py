"""Which calls go to the tensor cores, and that the case tables have such calls."""

import re

import pytest
from bench_cpu import LAYERS
from kernels.modules import MODULES
from kernels.tensor_cores import CHOOSE, KINDS, choice
from tables import OPERATIONS, SEED, drawn, is_large

from alexnet_cuda import config
from alexnet_cuda.checks.runner import DTYPES, check_case, run_guarded

EMULATED = config.load("_emulated")[0]


def arguments(layer, images):
    y = (layer.w[3], layer.outputs, layer.outputs, images)
    return (*layer.x, images), layer.w, y, (layer.stride,) * 2, (layer.pad,) * 2, layer.groups


def choices(layer, images, aligned, dtype):
    names = ("choose_conv_fprop", "choose_conv_dgrad", "choose_conv_wgrad")
    return [getattr(EMULATED, name)(*arguments(layer, images), aligned, dtype) for name in names]


@pytest.mark.parametrize("images", (8, 128, 256, 1024))
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_alexnet_runs_on_tensor_cores_in_bfloat16(layer, images, monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "90")
    taken = [text.startswith("tensor cores: ") for text in choices(layer, images, True, "bfloat16")]
    # The images need no gradient, so nobody asks for conv1's, whose stride is 4.
    assert taken == [True, layer.stride == 1, True]
    assert not any(text.startswith("tensor cores") for text in choices(layer, images, True, "float32"))


@pytest.mark.parametrize("sizes", [(4096, 128, 9216), (9216, 128, 4096), (9216, 4096, 128), (1000, 128, 4096)])
@pytest.mark.parametrize("trans_a", (False, True))
@pytest.mark.parametrize("trans_b", (False, True))
def test_fully_connected_layers_too(sizes, trans_a, trans_b, monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "90")
    assert EMULATED.choose_gemm(sizes, trans_a, trans_b, True, "bfloat16").startswith("tensor cores: ")
    assert not EMULATED.choose_gemm(sizes, trans_a, trans_b, True, "float32").startswith("tensor cores")


@pytest.mark.parametrize(
    "capability, images, aligned",
    [("80", 128, True), ("75", 128, True), ("100", 128, True), ("90", 128, False), ("90", 127, True)],
    ids=["Ampere", "Turing", "Blackwell", "odd addresses", "odd batch"],
)
def test_what_goes_to_the_general_kernels(capability, images, aligned, monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", capability)
    for layer in LAYERS:
        for text in choices(layer, images, aligned, "bfloat16"):
            assert not text.startswith("tensor cores"), layer.name
    gemm = EMULATED.choose_gemm((4096, images, 9216), True, False, aligned, "bfloat16")
    assert not gemm.startswith("tensor cores")


def test_a_capability_that_is_none(monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "9.0")
    with pytest.raises(RuntimeError, match="ALEXNET_EMULATOR_CAPABILITY: got '9.0', wanted a compute capability times"):
        EMULATED.choose_gemm((8, 8, 8), False, False, True, "bfloat16")


@pytest.mark.parametrize("module", MODULES)
def test_float32_needs_no_gpu_to_choose(module):
    assert module.choose_gemm((128, 128, 128), False, False, True, "float32")


def small(name):
    """The cases that run in every build of the emulator."""
    return [case for case in OPERATIONS[name].cases if not is_large(case)]


@pytest.fixture
def hopper(monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "90")


@pytest.mark.parametrize("name, text, count", KINDS)
def test_small_cases_reach_every_kind_with_both_kinds_of_values(name, text, count, hopper):
    reached = [case for case in small(name) if re.match(f"tensor cores: .*{text}", choice(name, case))]
    assert len(reached) >= count
    if name == "gemm":
        assert len({(case.trans_a, case.trans_b) for case in reached}) == 4
    runs = {(values, row.offset) for values in ("integers", "normal")
            for row in check_case(OPERATIONS[name], reached[0], values, "emulated", "bfloat16", SEED)}  # fmt: skip
    assert runs == {("integers", 0), ("normal", 0), ("normal", 1)}


def test_some_have_groups(hopper):
    for name in CHOOSE:
        assert any(case.groups == 2 and choice(name, case).startswith("tensor cores") for case in small(name))


def test_addresses_decide(monkeypatch):
    """Tensor cores add in another order, so the bits of results that stay float32 tell which kernels ran."""
    operation = OPERATIONS["conv2d_wgrad"]
    case = next(case for case in operation.cases if case.name == "136 images")
    kwargs = drawn(operation, case, "normal").cast(DTYPES["bfloat16"])
    want = operation.reference(kwargs)

    def bits(capability, offset):
        monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", capability)
        (result,), _ = run_guarded("emulated", operation, kwargs, want, DTYPES["bfloat16"], offset)
        return result.tobytes()

    assert bits("90", 0) != bits("80", 0)
    assert bits("90", 1) == bits("80", 1)
