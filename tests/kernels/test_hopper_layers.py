"""Every convolution and product of AlexNet's presets on the Hopper kernels and tiles that 128 and 1024 images get.

Images are fewer and smaller; channels, filters and their sizes are the net's, in both towers in one array and in one
tower by itself.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from kernels.hopper import BOTH, HERE, bf16_bound, emulated, guarded_output
from kernels.hopper_cases import Backward, Conv, Convolution, FirstLayer, Forward, Gradient, Layer
from kernels.hopper_wgrad import H200, chosen, gives_db
from kernels.test_hopper_first_layer import Layer as First

from alexnet_cuda import nn
from alexnet_cuda.checks.cases.conv import ConvCase
from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.guard import Guarded
from alexnet_cuda.checks.table import sample
from alexnet_cuda.nn.layers import Conv as ConvLayer
from alexnet_cuda.nn.presets import PRESETS
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

BATCHES = (128, 1024)


def convolutions():
    """By shapes, each once: ConvCase with one image."""
    found = {}
    for name in PRESETS:
        if not name.startswith("alexnet_") or name == "alexnet_mini":
            continue
        for place in nn.preset(name).places:
            layer = place.layer
            if not isinstance(layer, ConvLayer):
                continue
            (C, H, W), (_, R, S, K) = place.input, place.parameters["w"].shape
            towers = {(layer.groups * place.towers, C, K)}
            if nn.preset(name).towers == 2:  # and one of them on a device of its own
                towers.add((1, C // place.towers, K // 2))
            for groups, channels, filters in sorted(towers):
                x, w = (channels, H, W, 1), (channels // groups, R, S, filters)
                case = ConvCase(
                    f"{name} {layer.name}, {channels} to {filters} in {groups}", x, w, stride=layer.stride,
                    pad=layer.pad, groups=groups, ceil_mode=layer.ceil_mode,
                )  # fmt: skip
                found.setdefault((x, w, case.stride, case.pad, groups), case)
    return list(found.values())


LAYERS = convolutions()
FIRST = [case for case in LAYERS if case.w[0] == 3]
OTHERS = [case for case in LAYERS if case.w[0] != 3]


def test_the_layers_are_those_of_alexnet():
    shapes = {(case.x[0], case.w[3], case.groups) for case in LAYERS}
    two_towers = {(3, 96, 1), (96, 256, 2), (256, 384, 1), (384, 384, 2), (384, 256, 2)}
    in_one_of_them = {(3, 48, 1), (48, 128, 1), (256, 192, 1), (192, 192, 1), (192, 128, 1)}
    no_groups = {(96, 256, 1), (384, 384, 1), (384, 256, 1), (3, 64, 1), (64, 192, 1), (192, 384, 1), (256, 256, 1)}
    assert two_towers | in_one_of_them | no_groups <= shapes


def tile_for(way, case, images):
    """Rows, columns, depth and positions, as chosen for so many images of the layer's size."""
    whole = Conv((*case.x[:3], images), case.w, case.pad, groups=case.groups)
    text = getattr(emulated, f"choose_conv_{way.name}_hopper")(*whole.shapes, H200)
    sizes = re.search(r"tiles of (\d+)x(\d+), (\d+) positions of \d+ images, steps of (\d+)", text)
    rows, columns, positions, depth = map(int, sizes.groups())
    return rows, columns, depth, positions


def tiles():
    for case in OTHERS:
        for way in (Forward, Backward):
            for tile in sorted({tile_for(way, case, images) for images in BATCHES}):
                yield pytest.param(way, case, tile, id=f"{way.name} {case.name}, {tile}")


@pytest.mark.parametrize("way, case, tile", tuple(tiles()))
def test_convolutions(way, case, tile):
    """Images in whole blocks of 64, which one copy takes, and not."""
    for values, images in zip(BOTH, (64, 24), strict=True):
        conv = Conv((case.x[0], 2, case.w[2], images), case.w, case.pad, groups=case.groups, tile=tile)
        call = Convolution(way, conv)
        call.judge(values, call.results(values))


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.name)
def test_first_layers(case, values):
    C, R, S, K = case.w
    call = FirstLayer(First(C, 19, 23, 72, K, R, S, case.stride, case.pad, case.ceil_mode, relu=True))
    call.judge(values, call.results(values))


# Sizes of x and multiprocessors, one of which gets the tile and box of the whole layer.
SMALLER = (((2, 3, 8), 1), ((2, 2, 8), 2), ((19, 23, 8), 1))
# Gets a box of all 25 taps, because its large images lose little to the padding then: 25 x 25 pixels are the least.
ONLY_WHOLE = ("alexnet_owt conv2, 64 to 192 in 1", 1024)


def tile_and_box(case, multiprocessors=H200):
    return chosen(case, multiprocessors).rpartition(",")[0]  # all but the blocks


def whole(case, images):
    return replace(case, x=(*case.x[:3], images))


def gradients():
    for case in LAYERS:
        batches = [images for images in BATCHES if (case.name, images) != ONLY_WHOLE]
        for wanted in sorted({tile_and_box(whole(case, images)) for images in batches}):
            yield pytest.param(case, wanted, id=f"{case.name}, {wanted}")


@pytest.mark.parametrize("case, wanted", tuple(gradients()))
def test_gradients_of_filters(case, wanted):
    smaller = [(replace(case, x=(case.x[0], *size)), count) for size, count in SMALLER if size[0] > 2 or case.w[0] > 3]
    fitting = [each for each in smaller if tile_and_box(*each) == wanted]
    assert fitting
    for values in BOTH:
        call = Gradient(*fitting[0])
        call.judge(values, call.results(values))


@pytest.mark.parametrize("images", BATCHES)
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_gradients_of_biases_come_along(case, images):
    assert gives_db(whole(case, images), H200)


# ---- fully connected layers, in their own size with eight images

FULLY_CONNECTED = ((9216, 4096), (4096, 4096), (4096, 1000))


@dataclass
class Weights:
    """One layer's w, normal, and integers for its input and the gradient of its output; bfloat16."""

    inputs: int
    outputs: int

    def __post_init__(self):
        rng = np.random.default_rng(5)
        self.w = rng.standard_normal((self.inputs, self.outputs), FLOAT32).astype(BFLOAT16)
        self.x, self.dy = (sample(rng, (size, 8), "integers").astype(BFLOAT16) for size in (self.inputs, self.outputs))

    def product(self, a, b, trans_a, trans_b, dtype):
        """By the kernel that 128 images, or 128 products of a sum, get."""
        M, K = a.shape[::-1] if trans_a else a.shape
        N = b.shape[0] if trans_b else b.shape[1]
        text = emulated.choose_gemm_hopper((M, 128 if N == 8 else N, 128 if K == 8 else K))
        columns, splits = re.search(r"tiles of 128x(\d+), K (?:in (\d+) parts|whole)", text).groups()
        cut = (int(columns), int(splits or 1), H200)
        c = guarded_output((M, N), dtype)
        bytes_ = emulated.gemm_hopper_workspace_bytes((M, N, K), cut)
        workspace = Guarded(np.full(bytes_, 0xFF, np.uint8), 0)
        emulated.gemm_hopper(
            a.ctypes.data, b.ctypes.data, c.array.ctypes.data, (M, N, K), trans_a, trans_b, 1, 0, 0, False,
            dtype.name, cut, workspace.array.ctypes.data if bytes_ else 0, HERE,
        )  # fmt: skip
        assert c.canaries_alive() and workspace.canaries_alive()
        return c.array


def within_bound(got, a, b):
    """got against a @ b in float64, in parts of 1024 rows: all at once would take gigabytes."""
    right = b.astype(np.float64)
    for first in range(0, len(a), 1024):
        rows = slice(first, first + 1024)
        left = a[rows].astype(np.float64)
        bound = bf16_bound(got[rows], np.abs(left) @ np.abs(right), len(b) + 3)
        comparison = compare(got[rows], left @ right, bound)
        assert comparison.passed, comparison.message


@pytest.mark.parametrize("inputs, outputs", FULLY_CONNECTED)
def test_fully_connected_layers(inputs, outputs):
    layer = Weights(inputs, outputs)
    y = layer.product(layer.w, layer.x, True, False, np.dtype(BFLOAT16))
    w = layer.w.astype(FLOAT32)  # from which float64 is sooner made
    within_bound(y, w.T, layer.x)
    dx = layer.product(layer.w, layer.dy, False, False, np.dtype(BFLOAT16))
    within_bound(dx, w, layer.dy)
    dw = layer.product(layer.x, layer.dy, False, True, np.dtype(FLOAT32))
    np.testing.assert_array_equal(dw, layer.x.astype(FLOAT32) @ layer.dy.astype(FLOAT32).T)


@pytest.mark.parametrize("inputs, outputs", FULLY_CONNECTED[::2])  # fc7 is a part of fc6
def test_updates_of_fully_connected_layers(inputs, outputs):
    """The same bits as the gradient and then the update."""
    layer = Layer(inputs, outputs, 8)
    guarded = (layer.w, layer.v, layer.copy)
    before = [each.array.copy() for each in guarded]
    layer.update_in_one_pass()
    once = [each.array.copy() for each in guarded]
    for each, array in zip(guarded, before, strict=True):
        each.array[...] = array
    layer.update_in_two()
    for each, array, bits in zip(guarded, once, (np.uint32, np.uint32, np.uint16), strict=True):
        np.testing.assert_array_equal(array.view(bits), each.array.view(bits))
