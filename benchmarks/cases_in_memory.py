"""What bench_ops.py times besides products: the operations whose floor is memory's, and the same in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from cases import (
    LAYOUTS,
    Arrays,
    Call,
    Case,
    F,
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
    rows_back,
    torch,
)

from alexnet_cuda import ops
from alexnet_cuda.ops.arrays import BFLOAT16

WINDOW: dict[str, Any] = {"size": 3, "stride": 2, "pad": 0, "ceil_mode": True}
NORM: dict[str, Any] = {"size": 5, "alpha": 2e-5, "beta": 0.75, "k": 2.0, "groups": 2}
UPDATE: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
MASK: dict[str, Any] = {"keep": 0.5, "seed": 1, "step": 3, "layer": 6}
Shape = tuple[int, ...]


def pair(
    name: str, draw: Any, gradient: Any, forward: Any, backward: Any, their_forward: Any, their_backward: Any, x: Shape,
    dtype: np.dtype,
) -> list[Case]:  # fmt: skip
    """An operation that reads and writes one array of this shape, and its gradient, which reads two."""
    halved = names_halved(dtype, "x", "y", "dy")
    there, back = bytes_of(x, x, dtype=dtype), bytes_of(x, x, x, dtype=dtype)
    return [
        Case(name, draw, forward, each(LAYOUTS, their_forward), image_back, there, halved=halved),
        Case(f"{name} backward", gradient, backward, each(LAYOUTS, their_backward), image_back, back, halved=halved),
    ]


def relu_cases(name: str, x: Shape, dtype: np.dtype) -> list[Case]:
    def forward(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *x, dtype=dtype)
        return lambda: ops.relu(a["x"], out=out)

    def backward(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *x, dtype=dtype)
        return lambda: ops.relu_backward(a["dy"], a["y"], out=out)

    def their_forward(a: Arrays, layout: str) -> Call:
        tx = image(a["x"], layout)
        return lambda: torch.relu(tx)

    def their_backward(a: Arrays, layout: str) -> Call:
        dy, ty = image(a["dy"], layout), image(a["y"], layout)
        return lambda: torch.ops.aten.threshold_backward(dy, ty, 0)

    def gradient() -> Arrays:
        return {"dy": normal(*x), "y": rectified(*x)}

    return pair(name, lambda: {"x": normal(*x)}, gradient, forward, backward, their_forward, their_backward, x, dtype)


def lrn_cases(name: str, x: Shape, dtype: np.dtype) -> list[Case]:
    """PyTorch divides alpha by the window; windows that stay inside a tower are images of half the channels there."""

    def norm(tx: Any) -> Any:
        n, c, h, w = tx.shape
        towers = tx.reshape(n * NORM["groups"], c // NORM["groups"], h, w)
        y = F.local_response_norm(towers, NORM["size"], NORM["alpha"] * NORM["size"], NORM["beta"], NORM["k"])
        return y.reshape(n, c, h, w)

    def forward(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *x, dtype=dtype)
        return lambda: ops.lrn(a["x"], out=out, **NORM)

    def backward(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *x, dtype=dtype)
        return lambda: ops.lrn_backward(a["x"], a["dy"], out=out, **NORM)

    def their_forward(a: Arrays, layout: str) -> Call:
        tx = image(a["x"], layout)
        return lambda: norm(tx)

    def their_backward(a: Arrays, layout: str) -> Call:
        tx, dy = image(a["x"], layout).requires_grad_(), image(a["dy"], layout)
        y = norm(tx)
        return lambda: torch.autograd.grad(y, tx, dy, retain_graph=True)[0]

    def gradient() -> Arrays:
        return {"x": rectified(*x), "dy": normal(*x)}

    def draw() -> Arrays:
        return {"x": rectified(*x)}

    both = pair(name, draw, gradient, forward, backward, their_forward, their_backward, x, dtype)
    return [replace(case, slack=4) for case in both]  # PyTorch rounds the squares, their sum and its power as well


def pool_cases(name: str, x: Shape, dtype: np.dtype) -> list[Case]:
    """Both keep the positions of the maxima, as training needs them: a byte each here, eight in PyTorch."""
    edges = [1 + -(-(size - WINDOW["size"]) // WINDOW["stride"]) for size in x[1:3]]
    y = (x[0], *edges, x[3])
    cost, halved = bytes_of(x, y, dtype=dtype) + int(np.prod(y)), names_halved(dtype, "x", "dy")

    def forward(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *y, dtype=dtype), xp.empty(y, np.uint8)
        return lambda: ops.max_pool(a["x"], out=out, **WINDOW)[0]

    def backward(a: Arrays, xp: Any) -> Call:
        out, arg = empty(xp, *x, dtype=dtype), ops.max_pool(a["x"], **WINDOW)[1]
        return lambda: ops.max_pool_backward(a["dy"], arg, x, out=out, **WINDOW)

    def their_forward(a: Arrays, layout: str) -> Call:
        tx = image(a["x"], layout)
        return lambda: F.max_pool2d(tx, 3, 2, ceil_mode=True, return_indices=True)[0]

    def their_backward(a: Arrays, layout: str) -> Call:
        tx, dy = image(a["x"], layout), image(a["dy"], layout)
        where = F.max_pool2d(tx, 3, 2, ceil_mode=True, return_indices=True)[1]
        backward = torch.ops.aten.max_pool2d_with_indices_backward
        return lambda: backward(dy, tx, [3, 3], [2, 2], [0, 0], [1, 1], True, where)

    def gradient() -> Arrays:
        return {"x": normal(*x), "dy": masked(*y)}

    def draw() -> Arrays:
        return {"x": normal(*x)}

    return [
        Case(name, draw, forward, each(LAYOUTS, their_forward), image_back, cost, halved=halved),
        Case(f"{name} backward", gradient, backward, each(LAYOUTS, their_backward), image_back, cost, halved=halved),
    ]


def dropout_case(x: Shape, dtype: np.dtype) -> Case:
    def ours(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *x, dtype=dtype)
        return lambda: ops.dropout(a["x"], out=out, **MASK)

    def theirs(a: Arrays, layout: str) -> Call:
        tx = rows(a["x"], layout)
        return lambda: F.dropout(tx, 1 - MASK["keep"], training=True)

    def expected(a: Arrays) -> np.ndarray:
        return ops.dropout(a["x"], **MASK)

    def draw() -> Arrays:
        return {"x": rectified(*x)}

    cost, halved = bytes_of(x, x, dtype=dtype), names_halved(dtype, "x")
    return Case("dropout", draw, ours, each(["rows"], theirs), rows_back, cost, expected=expected, halved=halved)


def loss_case(logits: Shape) -> Case:
    """Loss and gradient; ours counts the right answers as well."""

    def draw() -> Arrays:
        labels = np.random.default_rng(4).integers(0, logits[0], logits[1])
        return {"logits": normal(*logits), "labels": labels.astype(np.int32)}

    def ours(a: Arrays, xp: Any) -> Call:
        out = empty(xp, *()), xp.empty(2, np.int32), empty(xp, *logits)
        return lambda: ops.softmax_cross_entropy(a["logits"], a["labels"], out=out)[2]

    def theirs(a: Arrays, layout: str) -> Call:
        tx, labels = rows(a["logits"], layout).clone().requires_grad_(), a["labels"].long()
        return lambda: torch.autograd.grad(F.cross_entropy(tx, labels), tx)[0]

    return Case("softmax loss", draw, ours, each(["rows"], theirs), rows_back, bytes_of(logits, logits))


def update_case(name: str, w: Shape, dtype: np.dtype) -> Case:
    """In place, from a momentum of 0; PyTorch's fused update. In bf16 ours refreshes the working copy as well."""

    def draw() -> Arrays:
        return {"w": normal(*w), "dw": masked(*w), "v": np.zeros(w, np.float32)}

    def ours(a: Arrays, xp: Any) -> Call:
        copy = empty(xp, *w, dtype=dtype) if dtype == BFLOAT16 else None

        def update() -> Any:
            ops.sgd_momentum(a["w"], a["v"], a["dw"], w_bf16=copy, **UPDATE)
            return a["w"]

        return update

    def theirs(a: Arrays, layout: str) -> Call:
        weight = torch.nn.Parameter(a["w"].clone())
        weight.grad = a["dw"].clone()
        optimizer = torch.optim.SGD(
            [weight], UPDATE["lr"], UPDATE["momentum"], weight_decay=UPDATE["weight_decay"], fused=True
        )

        def update() -> Any:
            optimizer.step()
            return weight.detach()

        return update

    cost = bytes_of(w, w, w, w, w) + (bytes_of(w, dtype=dtype) if dtype == BFLOAT16 else 0)
    return Case(f"{name} sgd", draw, ours, each(["fused"], theirs), as_it_is, cost)


def augment_case(images: int, stored: int, crop: int, dtype: np.dtype) -> Case:
    shape = (images, stored, stored, 3)

    def draw() -> Arrays:
        rng = np.random.default_rng(5)
        return {
            "images": rng.integers(0, 256, shape, dtype=np.uint8),
            "offsets": rng.integers(0, stored - crop + 1, (images, 2)).astype(np.int32),
            "flips": rng.integers(0, 2, images).astype(np.uint8),
            "color_shift": rng.normal(0, 10, (images, 3)).astype(np.float32),
            "mean": rng.uniform(90, 130, (stored, stored, 3)).astype(np.float32),
        }

    def ours(a: Arrays, xp: Any) -> Call:
        out = empty(xp, 3, crop, crop, images, dtype=dtype)
        return lambda: ops.augment(**a, crop=crop, dtype=dtype, out=out)

    def theirs(a: Arrays, layout: str) -> Call:
        edge = (stored - crop) // 2
        mean = a["mean"][edge : edge + crop, edge : edge + crop]
        pixel, n = torch.arange(crop, device=mean.device), torch.arange(images, device=mean.device)

        def cut() -> Any:
            top, left = a["offsets"].long().unbind(1)
            across = torch.where(a["flips"][:, None] > 0, crop - 1 - pixel, pixel) + left[:, None]
            down = top[:, None] + pixel
            crops = a["images"][n[:, None, None], down[:, :, None], across[:, None, :]].float()
            x = crops + a["color_shift"][:, None, None] - mean
            return x.permute(0, 3, 1, 2).contiguous().to(torch.bfloat16 if dtype == BFLOAT16 else torch.float32)

        return cut

    taken = images * crop * crop * 3
    cost = taken + dtype.itemsize * taken + 12 * crop * crop
    return Case("augment", draw, ours, each(["NCHW"], theirs), image_back, cost)


def cases_in_memory(scale: Scale) -> list[Case]:
    maps = [(layer.w[3], layer.outputs, layer.outputs) for layer in scale.layers]
    x1, x2, x5 = ((*maps[i], scale.images) for i in (0, 1, 4))
    fc6, fc8 = scale.features["fc6"], scale.features["fc8"]
    dtype = scale.dtype
    return [
        *relu_cases("relu1", x1, dtype),
        *lrn_cases("lrn1", x1, dtype),
        *lrn_cases("lrn2", x2, dtype),
        *pool_cases("pool1", x1, dtype),
        *pool_cases("pool2", x2, dtype),
        *pool_cases("pool5", x5, dtype),
        dropout_case((fc6[1], scale.images), dtype),
        loss_case((fc8[1], scale.images)),
        update_case("conv3", scale.layers[2].w, dtype),
        update_case("fc6", fc6, dtype),
        augment_case(scale.images, scale.stored, scale.crop, dtype),
    ]
