"""Operations that treat elements, or images, alone: chunks of them through the reference, spread over threads.

A chunk's temporaries fit the cache. Only ReLU and its gradient have forms of their own here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import reference
from . import parallel
from .chunks import CHUNK, Scratch, even
from .select import keep_positive

IMAGES = 16  # an augmented row of 16 images is a cache line of float32


def _in_chunks(function: Callable[..., None]) -> Callable[..., None]:
    def chunked(*arrays: np.ndarray, out: np.ndarray, **parameters: Any) -> None:
        flat = [array.reshape(-1) for array in (*arrays, out)]

        def work(chunk: slice, _: Scratch) -> None:
            *inputs, result = (array[chunk] for array in flat)
            function(*inputs, out=result, **parameters)

        parallel.run(work, even(out.size, CHUNK))

    return chunked


add = _in_chunks(reference.add)
scale = _in_chunks(reference.scale)
sigmoid = _in_chunks(reference.sigmoid)
sigmoid_backward = _in_chunks(reference.sigmoid_backward)
tanh = _in_chunks(reference.tanh)
tanh_backward = _in_chunks(reference.tanh_backward)


def relu(x: np.ndarray, *, out: np.ndarray) -> None:
    relu_backward(x, x, out=out)


def relu_backward(dy: np.ndarray, y: np.ndarray, *, out: np.ndarray) -> None:
    dy, y, out = dy.reshape(-1), y.reshape(-1), out.reshape(-1)

    def work(chunk: slice, scratch: Scratch) -> None:
        keep_positive(y[chunk], dy[chunk], out[chunk], scratch)

    parallel.run(work, even(out.size, CHUNK))


def dropout(x: np.ndarray, *, first_row: int, out: np.ndarray, **drawn_from: Any) -> None:
    x, out = x.reshape(-1, x.shape[-1]), out.reshape(-1, x.shape[-1])

    def work(rows: slice, _: Scratch) -> None:
        reference.dropout(x[rows], first_row=first_row + rows.start, out=out[rows], **drawn_from)

    # The generator works on 64-bit integers and keeps a dozen of them.
    parallel.run(work, even(len(x), max(CHUNK // 8 // x.shape[1], 1)))


dropout_backward = dropout  # the map is linear and diagonal: it is its own adjoint


def sgd_momentum(w: np.ndarray, v: np.ndarray, dw: np.ndarray, *, w_bf16: np.ndarray | None, **rates: Any) -> None:
    flat = [array.reshape(-1) for array in (w, v, dw)]
    rounded = None if w_bf16 is None else w_bf16.reshape(-1)

    def work(chunk: slice, _: Scratch) -> None:
        arrays = (array[chunk] for array in flat)
        reference.sgd_momentum(*arrays, w_bf16=None if rounded is None else rounded[chunk], **rates)

    parallel.run(work, even(w.size, CHUNK))


def augment(
    images: np.ndarray, *, offsets: np.ndarray, flips: np.ndarray, color_shift: np.ndarray | None, out: np.ndarray,
    **kept: Any,
) -> None:  # fmt: skip
    def work(ns: slice, _: Scratch) -> None:
        shift = None if color_shift is None else color_shift[ns]
        reference.augment(images[ns], offsets=offsets[ns], flips=flips[ns], color_shift=shift, out=out[..., ns], **kept)

    parallel.run(work, even(len(images), IMAGES))
