"""Dropout, and the Philox4x32-10 generator behind its mask, in plain integers."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .geometry import Array, Shape, f64

Step = int | NDArray[np.integer]
MASK = 0xFFFFFFFF


def philox4x32(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Ten rounds of Philox4x32 (Salmon et al. 2011) on a counter of four words and a key of two.

    (c0, c1, c2, c3) -> (hi(M1*c2) ^ c1 ^ k0, lo(M1*c2), hi(M0*c0) ^ c3 ^ k1, lo(M0*c0)); after a round
    k0 += the golden ratio, k1 += sqrt(3) - 1, as 32-bit fractions.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = product1 >> 32 ^ c1 ^ k0, product1 & MASK, product0 >> 32 ^ c3 ^ k1, product0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def dropout_mask(
    shape: Shape, keep: float, seed: int, step: Step, layer: int, first_row: int = 0, first_image: int = 0
) -> NDArray[np.bool_]:
    """kept[feature, image] = word < keep * 2^32, compared as exact numbers, in the given shape [..., N].

    word = philox4x32((image >> 2, feature, layer, step), key = (seed low 32, seed high 32))[image & 3],
    feature = first_row + row of the array viewed as [features, N], image = first_image + column.
    """
    features, images = prod(shape[:-1]), shape[-1]
    key = (seed & MASK, seed >> 32 & MASK)
    step_word = int(np.asarray(step).item()) & MASK
    # Scaling a float by a power of two is exact, and Python compares an int with a float exactly.
    threshold = float(keep) * 2.0**32
    kept = np.zeros((features, images), dtype=np.bool_)
    for row in range(features):
        words_of: dict[int, tuple[int, ...]] = {}
        for column in range(images):
            image = first_image + column
            block = image >> 2
            if block not in words_of:
                counter = (block & MASK, first_row + row & MASK, layer & MASK, step_word)
                words_of[block] = philox4x32(counter, key)
            kept[row, column] = words_of[block][image & 3] < threshold
    return kept.reshape(shape)


def dropout(x: ArrayLike, *, keep: float, inverted: bool = True, **draw: Any) -> Array:
    """y = x * scale where kept, 0 elsewhere; scale = 1/keep when inverted, 1 otherwise.

    `draw` is seed, step, layer, first_row and first_image of `dropout_mask`. 1/keep is rounded to the compute
    dtype: float64 for float64 input, float32 for every other input.
    """
    wide = np.asarray(x).dtype == np.float64
    scale = (1 / float(keep) if wide else float(np.float32(1 / float(keep)))) if inverted else 1.0
    kept = dropout_mask(np.shape(x), keep, **draw)
    y = np.zeros(np.shape(x))
    y[kept] = f64(x)[kept] * scale
    return y


# The gradient passes through the same map: dx = dy * scale where kept.
dropout_backward = dropout
