"""Which calls go to the tensor cores."""

import pytest
from bench_cpu import LAYERS
from kernels.modules import MODULES

from alexnet_cuda import config

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
