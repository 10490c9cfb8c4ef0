"""Pooling by maximum and by mean."""

from ..arrays import Array
from .base import Base

Pair = tuple[int, int]


class Pool(Base):
    def max_pool(
        self, x: Array, *, size: Pair, stride: Pair, pad: Pair, out: Array, arg: Array | None
    ) -> None:  # fmt: skip
        wide = size[0] * size[1] > 256  # positions take two bytes then
        function = self._module.max_pool_forward_uint16 if wide else self._module.max_pool_forward_uint8
        function(
            *self._float32("max_pool", x, out), self._address(arg), x.shape, out.shape[1:3], size, stride, pad,
            self._where(),
        )  # fmt: skip

    def max_pool_backward(self, dy: Array, arg: Array, *, size: Pair, stride: Pair, pad: Pair, out: Array) -> None:
        wide = size[0] * size[1] > 256
        function = self._module.max_pool_backward_uint16 if wide else self._module.max_pool_backward_uint8
        dy_ptr, out_ptr = self._float32("max_pool_backward", dy, out)
        function(
            dy_ptr, self._address(arg), out_ptr, out.shape, dy.shape[1:3], size, stride, pad, self._where()
        )  # fmt: skip

    def avg_pool(self, x: Array, *, size: Pair, stride: Pair, pad: Pair, out: Array) -> None:
        self._module.avg_pool_forward(
            *self._float32("avg_pool", x, out), x.shape, out.shape[1:3], size, stride, pad, self._where()
        )

    def avg_pool_backward(self, dy: Array, *, size: Pair, stride: Pair, pad: Pair, out: Array) -> None:
        self._module.avg_pool_backward(
            *self._float32("avg_pool_backward", dy, out), out.shape, dy.shape[1:3], size, stride, pad, self._where()
        )
