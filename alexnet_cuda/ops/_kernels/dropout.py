"""Dropout, forward and backward the same."""

from typing import Any

from ..arrays import Array
from .base import Base


class Dropout(Base):
    def dropout(self, x: Array, *, out: Array, **draw: Any) -> None:
        self._masked("dropout", x, out, **draw)

    def dropout_backward(self, dy: Array, *, out: Array, **draw: Any) -> None:
        self._masked("dropout_backward", dy, out, **draw)

    def _masked(
        self, op: str, x: Array, out: Array, *, keep: float, seed: int, step: Any, layer: int, first_row: int,
        first_image: int, inverted: bool,
    ) -> None:  # fmt: skip
        # A step in an array is read by the kernel: its low 32 bits, which are the first of any integer there.
        number, address = (step, 0) if isinstance(step, int) else (0, self._address(step))
        images = x.shape[-1]
        pointers, dtype = self._floats(op, x, out)
        self._module.dropout(
            *pointers, (x.size // images, images), keep, inverted, seed, layer, first_row,
            first_image, number, address, dtype, self._where(),
        )  # fmt: skip
