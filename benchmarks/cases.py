"""What bench_ops.py times: the products of AlexNet's training step on its shapes, and the same in PyTorch.

Arrays are drawn in this package's layouts. Each of PyTorch's contenders keeps its own copies in the layout its name
says, made outside the clock. No padding is counted in operations: a kernel need not multiply by zeros.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from bench_cpu import LAYERS, Conv

from alexnet_cuda import ops
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

try:
    import torch
    from torch.nn import functional as F
except ImportError:  # nothing to compare with then
    torch = F = None

Arrays = dict[str, Any]
Call = Callable[[], Any]

LAYOUTS = {"NCHW": "contiguous_format", "NHWC": "channels_last"}
ROW_LAYOUTS = ("rows", "columns")  # of activations: [N, features] as PyTorch has them, [features, N] as here


@dataclass(frozen=True)
class Case:
    """A row of the table.

    draw: host arrays. ours(arrays, array module): a call that returns its result. theirs: by layout, given tensors that
    share those arrays; `back` turns a result of theirs into our layout. expected: instead, the right result for the
    host arrays, where PyTorch draws other random numbers. halved: names of the arrays that precision bf16 keeps in
    bfloat16; the others are float32 in either precision. slack: by what PyTorch may differ more than one rounding of
    the result explains.
    """

    name: str
    draw: Callable[[], Arrays]
    ours: Callable[[Arrays, Any], Call]
    theirs: dict[str, Callable[[Arrays], Call]]
    back: Callable[[Any, str], Any]
    bytes: int
    flops: float = 0.0
    expected: Callable[[Arrays], np.ndarray] | None = None
    halved: frozenset[str] = frozenset()
    slack: float = 1


@dataclass(frozen=True)
class Scale:
    """Sizes: images in a batch, and by what channels, features and the edges of small maps are divided. dtype: of
    activations and of the weights that are multiplied, float32 or bfloat16."""

    images: int = 128
    dtype: np.dtype = FLOAT32
    layers: tuple[Conv, ...] = LAYERS
    features: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}
    )
    stored: int = 256
    crop: int = 224


def small() -> Scale:
    """The same operations on arrays of some thousand elements."""

    def less(layer: Conv) -> Conv:
        edge = 27 if layer.stride > 1 else 9
        x, w = (max(layer.x[0] // 16, 3), edge, edge), (max(layer.w[0] // 16, 3), *layer.w[1:3], 16)
        return replace(layer, x=x, w=w)

    layers = tuple(map(less, LAYERS))
    features = {"fc6": (36, 16), "fc7": (16, 16), "fc8": (16, 10)}
    return Scale(4, layers=layers, features=features, stored=12, crop=8)


SCALES = {"alexnet": Scale, "small": small}


# ---- arrays


@functools.lru_cache(maxsize=8)
def _normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def normal(*shape: int) -> np.ndarray:
    return _normal(shape, 0).copy()


def rectified(*shape: int) -> np.ndarray:
    """As a ReLU leaves it: half of it zeros."""
    return np.maximum(_normal(shape, 1), 0)


def masked(*shape: int) -> np.ndarray:
    """A gradient behind a ReLU: other signs, half of it zeros."""
    return np.where(_normal(shape, 2) > 0, _normal(shape, 3), np.float32(0))


def bytes_of(*shapes: tuple[int, ...], dtype: np.dtype = FLOAT32) -> int:
    return int(sum(dtype.itemsize * np.prod(shape) for shape in shapes))


def empty(array_module: Any, *shape: int, dtype: np.dtype = FLOAT32) -> Any:
    return array_module.empty(shape, dtype)


def names_halved(dtype: np.dtype, *names: str) -> frozenset[str]:
    return frozenset(names if dtype == BFLOAT16 else ())


def same_type(array: Any, other: Any) -> Any:
    """PyTorch wants a bias in the type of what it is added to."""
    return array.to(other.dtype)


def image(tensor: Any, layout: str) -> Any:
    """[C, H, W, N] or filters [C, R, S, K] as PyTorch has them, image or filter first, in a memory layout."""
    return tensor.permute(3, 0, 1, 2).contiguous(memory_format=getattr(torch, LAYOUTS[layout]))


def image_back(tensor: Any, layout: str) -> Any:
    return tensor.permute(1, 2, 3, 0)


def as_it_is(tensor: Any, layout: str) -> Any:
    return tensor


def rows(tensor: Any, layout: str) -> Any:
    return tensor.T.contiguous() if layout == "rows" else tensor


def rows_back(tensor: Any, layout: str) -> Any:
    return tensor.T if layout == "rows" else tensor


def each(layouts: Any, make: Callable[..., Call]) -> dict[str, Callable[[Arrays], Call]]:
    return {layout: functools.partial(make, layout=layout) for layout in layouts}


# ---- convolution


def taps(image_size: int, size: int, stride: int, pad: int, outputs: int) -> int:
    """Along one axis, pairs of a window and one of its pixels that lies in the image."""
    return sum(0 <= p * stride - pad + r < image_size for p in range(outputs) for r in range(size))


def conv_cases(layer: Conv, images: int, dtype: np.dtype) -> list[Case]:
    (C, H, W), (_, R, S, K) = layer.x, layer.w
    P, Q = (1 + (size + 2 * layer.pad - filter_) // layer.stride for size, filter_ in ((H, R), (W, S)))
    x, w, y = (C, H, W, images), layer.w, (K, P, Q, images)
    pairs = taps(H, R, layer.stride, layer.pad, P) * taps(W, S, layer.stride, layer.pad, Q)
    flops, halved = 2.0 * pairs * layer.w[0] * K * images, names_halved(dtype, "x", "w", "dy")
    cost: dict[str, Any] = {"flops": flops, "bytes": bytes_of(x, w, y, dtype=dtype), "halved": halved}
    of_wgrad = cost | {"bytes": bytes_of(x, y, dtype=dtype) + bytes_of(w)}
    where: dict[str, Any] = {"stride": layer.stride, "pad": layer.pad, "groups": layer.groups, "ceil_mode": False}

    def fprop(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *y, dtype=dtype)
        return lambda: ops.conv2d(a["x"], a["w"], a["b"], out=out, **where)

    def dgrad(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *x, dtype=dtype)
        return lambda: ops.conv2d_dgrad(a["dy"], a["w"], x, out=out, **where)

    def wgrad(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *w)
        return lambda: ops.conv2d_wgrad(a["x"], a["dy"], w, out=out, **where)

    def their_fprop(a: Arrays, layout: str) -> Call:
        tx, tw = image(a["x"], layout), image(a["w"], layout)
        b = same_type(a["b"], tx)
        return lambda: F.conv2d(tx, tw, b, layer.stride, layer.pad, 1, layer.groups)

    def backward(dy: Any, tx: Any, tw: Any, which: int) -> Call:
        mask = [which == 0, which == 1, False]
        geometry = [layer.stride] * 2, [layer.pad] * 2, [1, 1], False, [0, 0], layer.groups
        return lambda: torch.ops.aten.convolution_backward(dy, tx, tw, None, *geometry, mask)[which]

    def their_dgrad(a: Arrays, layout: str) -> Call:
        dy, tw = image(a["dy"], layout), image(a["w"], layout)
        return backward(dy, image(torch.empty(x, device=dy.device, dtype=dy.dtype), layout), tw, 0)

    def their_wgrad(a: Arrays, layout: str) -> Call:
        dy, tx = image(a["dy"], layout), image(a["x"], layout)
        return backward(dy, tx, image(torch.empty(w, device=dy.device, dtype=dy.dtype), layout), 1)

    def drawn(*names: str) -> Callable[[], Arrays]:
        made = {"x": lambda: rectified(*x), "w": lambda: normal(*w), "b": lambda: normal(K), "dy": lambda: masked(*y)}
        return lambda: {name: made[name]() for name in names}

    return [
        Case(f"{layer.name} fprop", drawn("x", "w", "b"), fprop, each(LAYOUTS, their_fprop), image_back, **cost),
        Case(f"{layer.name} dgrad", drawn("dy", "w"), dgrad, each(LAYOUTS, their_dgrad), image_back, **cost),
        Case(f"{layer.name} wgrad", drawn("x", "dy"), wgrad, each(LAYOUTS, their_wgrad), image_back, **of_wgrad),
        bias_grad_case(layer.name, y, dtype),
    ]


def bias_grad_case(name: str, y: tuple[int, ...], dtype: np.dtype) -> Case:
    def ours(a: Arrays, xp: Any) -> Call:
        out = empty(xp, y[0])
        return lambda: ops.bias_grad(a["dy"], out=out)

    def theirs(a: Arrays, layout: str) -> Call:
        dy = image(a["dy"], layout)
        return lambda: dy.sum(dim=(0, 2, 3), dtype=torch.float32)

    def draw() -> Arrays:
        return {"dy": masked(*y)}

    cost = bytes_of(y, dtype=dtype) + bytes_of(y[:1])
    halved = names_halved(dtype, "dy")
    return Case(f"{name} bias_grad", draw, ours, each(LAYOUTS, theirs), as_it_is, cost, halved=halved)


# ---- fully connected layers


def linear_cases(name: str, inputs: int, outputs: int, images: int, dtype: np.dtype) -> list[Case]:
    x, w, y = (inputs, images), (inputs, outputs), (outputs, images)
    flops, halved = 2.0 * inputs * outputs * images, names_halved(dtype, "x", "w", "dy")
    cost: dict[str, Any] = {"flops": flops, "bytes": bytes_of(x, w, y, dtype=dtype), "halved": halved}
    of_wgrad = cost | {"bytes": bytes_of(x, y, dtype=dtype) + bytes_of(w)}

    def product(first: str, second: str, shape: tuple[int, ...], **options: Any) -> Callable[[Arrays, Any], Call]:
        out_dtype = FLOAT32 if first == "x" else dtype  # a gradient of weights is float32

        def make(a: Arrays, xp: Any) -> Call:
            out = empty(xp, *shape, dtype=out_dtype)
            bias = a.get("b")
            return lambda: ops.gemm(a[first], a[second], bias=bias, out=out, out_dtype=out_dtype, **options)

        return make

    def forward(a: Arrays, layout: str) -> Call:
        tx = rows(a["x"], layout)
        b = same_type(a["b"], tx)
        if layout == "rows":
            tw = a["w"].T.contiguous()
            return lambda: F.linear(tx, tw, b)
        return lambda: torch.addmm(b[:, None], a["w"].T, tx)

    def dgrad(a: Arrays, layout: str) -> Call:
        dy, tw = rows(a["dy"], layout), rows(a["w"], layout)
        return (lambda: dy @ tw) if layout == "rows" else (lambda: tw @ dy)

    def wgrad(a: Arrays, layout: str) -> Call:
        dy, tx = rows(a["dy"], layout), rows(a["x"], layout)
        return (lambda: dy.T @ tx) if layout == "rows" else (lambda: tx @ dy.T)

    def drawn(*names: str) -> Callable[[], Arrays]:
        made = {
            "x": lambda: rectified(*x), "w": lambda: normal(*w), "b": lambda: normal(outputs),
            "dy": lambda: masked(*y),
        }  # fmt: skip
        return lambda: {name: made[name]() for name in names}

    def case(what: str, names: tuple[str, ...], ours: Callable[[Arrays, Any], Call], theirs: Any) -> Case:
        of_case = of_wgrad if what == "wgrad" else cost
        return Case(f"{name} {what}", drawn(*names), ours, each(ROW_LAYOUTS, theirs), rows_back, **of_case)

    return [
        case("forward", ("x", "w", "b"), product("w", "x", y, trans_a=True), forward),
        case("dgrad", ("dy", "w"), product("w", "dy", x), dgrad),
        case("wgrad", ("x", "dy"), product("x", "dy", w, trans_b=True), wgrad),
    ]
