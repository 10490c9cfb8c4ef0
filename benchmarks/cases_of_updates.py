"""What bench_ops.py times of updates along with their gradients. The rows of gradient and update alone, of the same
layers, say what that saves."""

from __future__ import annotations

from typing import Any

import numpy as np
from bench_cpu import Conv
from cases import (
    LAYOUTS,
    ROW_LAYOUTS,
    Arrays,
    Call,
    Case,
    Scale,
    as_it_is,
    bytes_of,
    each,
    empty,
    image,
    image_back,
    masked,
    names_halved,
    normal,
    rectified,
    rows,
    torch,
)
from cases_in_memory import UPDATE, Shape

from alexnet_cuda import ops
from alexnet_cuda.ops.arrays import BFLOAT16


def copy_of(xp: Any, shape: Shape, dtype: np.dtype) -> Any:
    """The weights that the next step reads, where those are not the ones that the update changes."""
    return empty(xp, *shape, dtype=dtype) if dtype == BFLOAT16 else None


def updating(weight: Any, gradient: Call) -> Call:
    """PyTorch's gradient and fused update; the result is the momentum, which in w is lost behind the weights."""
    parameter = torch.nn.Parameter(weight)
    optimizer = torch.optim.SGD(
        [parameter], UPDATE["lr"], UPDATE["momentum"], weight_decay=UPDATE["weight_decay"], fused=True
    )

    def update() -> Any:
        parameter.grad = gradient().to(parameter.dtype)
        optimizer.step()
        return -UPDATE["lr"] * optimizer.state[parameter]["momentum_buffer"]

    return update


def traffic(x: Shape, y: Shape, w: Shape, dtype: np.dtype) -> int:
    return bytes_of(x, y, dtype=dtype) + bytes_of(w, w, w, w) + (bytes_of(w, dtype=dtype) if dtype == BFLOAT16 else 0)


def linear_update(name: str, inputs: int, outputs: int, images: int, dtype: np.dtype) -> Case:
    x, w, y = (inputs, images), (inputs, outputs), (outputs, images)

    def draw() -> Arrays:
        return {"x": rectified(*x), "dy": masked(*y), "w": normal(*w), "v": np.zeros(w, np.float32)}

    def ours(a: Arrays, xp: Any) -> Call:
        copy = copy_of(xp, w, dtype)

        def update() -> Any:
            ops.gemm_sgd(a["x"], a["dy"], a["w"], a["v"], w_bf16=copy, **UPDATE)
            return a["v"]

        return update

    def theirs(a: Arrays, layout: str) -> Call:
        tx, dy = rows(a["x"], layout), rows(a["dy"], layout)
        return updating(a["w"].clone(), (lambda: tx.T @ dy) if layout == "rows" else (lambda: tx @ dy.T))

    cost: dict[str, Any] = {"flops": 2.0 * inputs * outputs * images, "bytes": traffic(x, y, w, dtype)}
    halved = names_halved(dtype, "x", "dy")
    return Case(f"{name} wgrad+sgd", draw, ours, each(ROW_LAYOUTS, theirs), as_it_is, **cost, halved=halved)


def conv_update(layer: Conv, flops: float, images: int, dtype: np.dtype) -> Case:
    """flops: of the gradient."""
    x, w, y = (*layer.x, images), layer.w, (layer.w[3], layer.outputs, layer.outputs, images)
    where: dict[str, Any] = {"stride": layer.stride, "pad": layer.pad, "groups": layer.groups, "ceil_mode": False}

    def draw() -> Arrays:
        return {"x": rectified(*x), "dy": masked(*y), "w": normal(*w), "v": np.zeros(w, np.float32)}

    def ours(a: Arrays, xp: Any) -> Call:
        copy = copy_of(xp, w, dtype)

        def update() -> Any:
            ops.conv2d_wgrad_sgd(a["x"], a["dy"], a["w"], a["v"], w_bf16=copy, **where, **UPDATE)
            return a["v"]

        return update

    def theirs(a: Arrays, layout: str) -> Call:
        dy, tx, weight = (image(a[name], layout) for name in ("dy", "x", "w"))
        geometry = [layer.stride] * 2, [layer.pad] * 2, [1, 1], False, [0, 0], layer.groups
        like, mask = weight.to(tx.dtype), [False, True, False]
        return updating(weight, lambda: torch.ops.aten.convolution_backward(dy, tx, like, None, *geometry, mask)[1])

    cost: dict[str, Any] = {"flops": flops, "bytes": traffic(x, y, w, dtype)}
    halved = names_halved(dtype, "x", "dy")
    return Case(f"{layer.name} wgrad+sgd", draw, ours, each(LAYOUTS, theirs), image_back, **cost, halved=halved)


def cases_of_updates(scale: Scale, gradients: list[Case]) -> list[Case]:
    """gradients: the cases of the products, which know how many operations there are."""
    flops = {case.name: case.flops for case in gradients}
    layer = scale.layers[2]
    return [
        conv_update(layer, flops[f"{layer.name} wgrad"], scale.images, scale.dtype),
        linear_update("fc6", *scale.features["fc6"], scale.images, scale.dtype),
    ]
