"""Cases of convolution and its three gradients: one table of geometries for all passes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import ops
from ...ops import geometry
from ...ops.parameters import IntOrPair
from ..table import Arguments, Operation, absolute, sample


@dataclass(frozen=True)
class ConvCase:
    """x is (C, H, W, N), w is (C/groups, R, S, K).

    bias and relu belong to the forward pass; relu_below says that the data gradient is masked by the ReLU that made x.
    """

    name: str
    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    stride: IntOrPair = 1
    pad: IntOrPair | str = 0
    groups: int = 1
    ceil_mode: bool = False
    bias: bool = True
    relu: bool = False
    relu_below: bool = False

    @property
    def window_parameters(self) -> dict[str, Any]:
        return {"stride": self.stride, "pad": self.pad, "groups": self.groups, "ceil_mode": self.ceil_mode}

    @property
    def y(self) -> tuple[int, int, int, int]:
        where = geometry.windows("conv2d", self.x[1:3], self.w[1:3], self.stride, self.pad, self.ceil_mode)
        return (self.w[3], *where.outputs, self.x[3])


# Two towers stand in one tensor, as one device holds them: conv2, conv4 and conv5 have two groups.
ALEXNET = (
    ConvCase("alexnet_2012 conv1", (3, 224, 224, 2), (3, 11, 11, 96), stride=4, ceil_mode=True),
    ConvCase("alexnet_2012 conv2", (96, 27, 27, 2), (48, 5, 5, 256), pad=2, groups=2, relu=True, relu_below=True),
    ConvCase("alexnet_2012 conv3", (256, 13, 13, 3), (256, 3, 3, 384), pad=1, relu=True),
    ConvCase("alexnet_2012 conv4", (384, 13, 13, 3), (192, 3, 3, 384), pad=1, groups=2, relu=True, relu_below=True),
    ConvCase("alexnet_2012 conv5", (384, 13, 13, 3), (192, 3, 3, 256), pad=1, groups=2, relu_below=True),
    ConvCase("alexnet_textbook conv1", (3, 227, 227, 1), (3, 11, 11, 96), stride=4),
    ConvCase("alexnet_textbook conv2", (96, 27, 27, 1), (96, 5, 5, 256), pad=2),
    ConvCase("alexnet_torchvision conv1", (3, 224, 224, 1), (3, 11, 11, 64), stride=4, pad=2),
    # From here on with fewer pixels, which the name says: channels, filters and windows are the layer's.
    ConvCase("alexnet_2012 conv1, 92x92 pixels", (3, 92, 92, 8), (3, 11, 11, 96), stride=4, ceil_mode=True),
    ConvCase("alexnet_textbook conv4, 3x4 pixels", (384, 3, 4, 1), (384, 3, 3, 384), pad=1, relu=True, relu_below=True),
    ConvCase("alexnet_textbook conv5, 3x4 pixels", (384, 3, 4, 8), (384, 3, 3, 256), pad=1, relu=True, relu_below=True),
    ConvCase("alexnet_owt conv1, 32x32 pixels", (3, 32, 32, 3), (3, 11, 11, 64), stride=4, ceil_mode=True),
    # alexnet_owt has these too.
    ConvCase("alexnet_torchvision conv2, 5x6 pixels", (64, 5, 6, 8), (64, 5, 5, 192), pad=2, relu=True),
    ConvCase("alexnet_torchvision conv3, 3x4 pixels", (192, 3, 4, 8), (192, 3, 3, 384), pad=1, relu=True),
    ConvCase("alexnet_torchvision conv4, 3x4 pixels", (384, 3, 4, 2), (384, 3, 3, 256), pad=1, relu_below=True),
    ConvCase("alexnet_torchvision conv5, 3x4 pixels", (256, 3, 4, 8), (256, 3, 3, 256), pad=1, relu_below=True),
    # A tower of 2012 alone, as one of two devices has it; its conv3 sees both.
    ConvCase("alexnet_2012 tower conv1, 32x32 pixels", (3, 32, 32, 8), (3, 11, 11, 48), stride=4, ceil_mode=True),
    ConvCase("alexnet_2012 tower conv2, 5x6 pixels", (48, 5, 6, 8), (48, 5, 5, 128), pad=2, relu=True, relu_below=True),
    ConvCase("alexnet_2012 tower conv3, 3x4 pixels", (256, 3, 4, 3), (256, 3, 3, 192), pad=1, relu=True),
    ConvCase("alexnet_2012 tower conv4, 3x4 pixels", (192, 3, 4, 8), (192, 3, 3, 192), pad=1, relu_below=True),
    ConvCase("alexnet_2012 tower conv5, 3x4 pixels", (192, 3, 4, 1), (192, 3, 3, 128), pad=1, relu_below=True),
    ConvCase("alexnet_mini conv1, 12x13 pixels", (3, 12, 13, 8), (3, 5, 5, 16), pad=2, relu=True),
    ConvCase("alexnet_mini conv2, 8x9 pixels", (16, 8, 9, 8), (8, 5, 5, 32), pad=2, groups=2, relu=True),
    ConvCase("alexnet_mini conv3", (32, 8, 8, 3), (32, 3, 3, 48), pad=1, relu=True),
    ConvCase("alexnet_mini conv4", (48, 8, 8, 1), (24, 3, 3, 48), pad=1, groups=2, relu=True, relu_below=True),
    ConvCase("alexnet_mini conv5", (48, 8, 8, 2), (24, 3, 3, 32), pad=1, groups=2, relu=True, relu_below=True),
)

SHAPES = (
    ConvCase("one of everything", (1, 1, 1, 1), (1, 1, 1, 1)),
    ConvCase("1x1 filter", (5, 4, 3, 2), (5, 1, 1, 7), bias=False),
    ConvCase("relu behind and below", (3, 5, 4, 3), (3, 3, 3, 5), pad=1, relu=True, relu_below=True),
    ConvCase("relu without bias", (3, 5, 4, 3), (3, 3, 3, 5), pad=1, bias=False, relu=True),
    ConvCase("filter as large as the image", (3, 5, 7, 2), (3, 5, 7, 4)),
    ConvCase("rectangular image and filter", (4, 9, 6, 3), (4, 3, 2, 5)),
    ConvCase("row filter, column pad", (3, 4, 8, 2), (3, 1, 5, 6), pad=(0, 2)),
    ConvCase("stride and pad pairs", (2, 11, 13, 3), (2, 4, 3, 5), stride=(2, 3), pad=(1, 2)),
    ConvCase("stride larger than the filter", (3, 11, 8, 2), (3, 2, 1, 4), stride=(4, 3)),
    ConvCase("pad of filter - 1", (2, 4, 5, 3), (2, 3, 4, 3), pad=(2, 3)),
    ConvCase("taps that only ever see padding", (2, 1, 2, 3), (2, 3, 3, 2), pad=1),
    ConvCase("ceil mode, windows past the edge", (3, 8, 7, 2), (3, 3, 2, 4), stride=(2, 3), ceil_mode=True),
    ConvCase("ceil mode with pad", (2, 11, 7, 2), (2, 5, 4, 3), stride=4, pad=2, ceil_mode=True),
    ConvCase("same, odd filter", (3, 6, 5, 2), (3, 3, 5, 4), pad="same"),
    ConvCase("same, even filter: one more at the end", (2, 6, 5, 2), (2, 4, 2, 3), pad="same"),
    ConvCase("same, stride 2", (2, 7, 8, 3), (2, 3, 4, 3), stride=2, pad="same"),
    ConvCase("valid, ceil mode", (2, 8, 6, 2), (2, 3, 3, 3), stride=2, pad="valid", ceil_mode=True),
    ConvCase("two groups", (6, 5, 5, 3), (3, 3, 3, 8), pad=1, groups=2),
    ConvCase("three groups of one filter", (6, 4, 4, 2), (2, 3, 3, 3), pad=1, groups=3),
    ConvCase("one channel a group", (7, 5, 4, 3), (1, 3, 3, 14), pad=1, groups=7),
    ConvCase("primes", (7, 13, 11, 17), (7, 5, 3, 19), stride=2, pad=(2, 1), relu=True, relu_below=True),
    ConvCase("11x11 stride 4", (3, 31, 27, 5), (3, 11, 11, 13), stride=4, ceil_mode=True),
    ConvCase("5x5 two groups", (8, 9, 9, 6), (4, 5, 5, 12), pad=2, groups=2),
    ConvCase("many channels", (65, 4, 4, 3), (65, 3, 3, 33), pad=1),
)

# Around the widths of lanes and tiles, for the axes that kernels split.
BATCHES = tuple(
    ConvCase(f"batch of {n}", (3, 5, 6, n), (3, 3, 3, 4), pad=1, relu=n % 2 == 0, relu_below=n % 2 == 0)
    for n in (1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257)
)
FILTERS = tuple(
    ConvCase(f"{k} filters", (2, 4, 4, 5), (2, 3, 3, k), pad=1)
    for k in (1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 127, 128, 129)
)
# Small ones that a GPU's tensor cores take in bfloat16: whole eights of images and filters, around the edges of tiles.
TENSOR_CORES = (
    ConvCase("72 channels and filters", (72, 2, 3, 16), (72, 2, 2, 72), relu=True, relu_below=True),
    ConvCase("128 filters of 192 channels", (192, 1, 2, 8), (192, 1, 2, 128), pad=(0, 1), relu_below=True),
    ConvCase("192 filters of 128 channels", (128, 2, 1, 8), (128, 2, 1, 192), bias=False, relu=True),
    ConvCase("264 filters of 136 channels", (136, 1, 2, 8), (136, 1, 1, 264)),
    ConvCase("136 images", (24, 2, 3, 136), (24, 2, 2, 24), relu=True, relu_below=True),
    ConvCase("two groups of 3x3", (96, 2, 2, 8), (48, 3, 3, 80), pad=1, groups=2, relu=True, relu_below=True),
    ConvCase("two groups of 5x5", (24, 2, 5, 8), (12, 5, 5, 32), pad=2, groups=2, relu=True, relu_below=True),
    ConvCase("64 filters, stride 2", (16, 5, 4, 8), (16, 3, 3, 64), stride=2, pad=1, relu=True),
    ConvCase("a first layer, 72 images", (3, 3, 4, 72), (3, 3, 3, 16), pad=1, relu=True),
)
CASES = (*SHAPES, *BATCHES, *FILTERS, *TENSOR_CORES, *ALEXNET)


@dataclass(frozen=True)
class MatrixCase:
    """dy of a fully connected layer, [K, N]."""

    name: str
    y: tuple[int, int]


MATRICES = (
    MatrixCase("matrix of one", (1, 1)),
    MatrixCase("matrix of primes", (131, 37)),
    *(MatrixCase(f"matrix, batch of {n}", (17, n)) for n in (31, 32, 33, 127, 128, 129, 257)),
    MatrixCase("alexnet_2012 fc6", (4096, 3)),
)


def _draw_conv2d(case: ConvCase, rng: np.random.Generator, values: str) -> Arguments:
    return Arguments(
        values={"x": sample(rng, case.x, values), "w": sample(rng, case.w, values)},
        sums={"b": sample(rng, case.w[3:], values)} if case.bias else {},
        fixed={**case.window_parameters, "relu": case.relu},
    )


def _draw_dgrad(case: ConvCase, rng: np.random.Generator, values: str) -> Arguments:
    arrays = {"dy": sample(rng, case.y, values), "w": sample(rng, case.w, values)}
    if case.relu_below:
        arrays["relu_y"] = np.maximum(sample(rng, case.x, values), 0)
    return Arguments(values=arrays, fixed={**case.window_parameters, "x_shape": case.x})


def _draw_wgrad(case: ConvCase, rng: np.random.Generator, values: str) -> Arguments:
    return Arguments(
        values={"x": sample(rng, case.x, values), "dy": sample(rng, case.y, values)},
        fixed={**case.window_parameters, "w_shape": case.w},
    )


def _draw_bias_grad(case: ConvCase | MatrixCase, rng: np.random.Generator, values: str) -> Arguments:
    return Arguments(values={"dy": sample(rng, case.y, values)})


OPERATIONS = (
    Operation(
        "conv2d",
        ("y",),
        CASES,
        _draw_conv2d,
        terms=lambda a: a["w"][..., 0].size,
        scale=lambda a: ops.conv2d(**{**absolute(a, "x", "w", "b"), "relu": False}),
        tensor_cores=True,
    ),
    Operation(
        "conv2d_dgrad",
        ("dx",),
        CASES,
        _draw_dgrad,
        terms=lambda a: a["w"][0].size // a["groups"],
        scale=lambda a: ops.conv2d_dgrad(**absolute(a, "dy", "w")),
        tensor_cores=True,
    ),
    Operation(
        "conv2d_wgrad",
        ("dw",),
        CASES,
        _draw_wgrad,
        terms=lambda a: a["dy"][0].size,
        scale=lambda a: ops.conv2d_wgrad(**absolute(a, "x", "dy")),
        sums=("dw",),
        tensor_cores=True,
    ),
    Operation(
        "bias_grad",
        ("db",),
        (*CASES, *MATRICES),
        _draw_bias_grad,
        terms=lambda a: a["dy"][0].size,
        scale=lambda a: ops.bias_grad(**absolute(a, "dy")),
        sums=("db",),
    ),
)
