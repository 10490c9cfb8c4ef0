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
        pointers, dtype = self._floats("max_pool", x, out)
        function(
            *pointers, self._address(arg), x.shape, out.shape[1:3], size, stride, pad, dtype, self._where()
        )  # fmt: skip

    def max_pool_backward(self, dy: Array, arg: Array, *, size: Pair, stride: Pair, pad: Pair, out: Array) -> None:
        wide = size[0] * size[1] > 256
        function = self._module.max_pool_backward_uint16 if wide else self._module.max_pool_backward_uint8
        (dy_ptr, out_ptr), dtype = self._floats("max_pool_backward", dy, out)
        function(
            dy_ptr, self._address(arg), out_ptr, out.shape, dy.shape[1:3], size, stride, pad, dtype, self._where()
        )  # fmt: skip

    def avg_pool(self, x: Array, *, size: Pair, stride: Pair, pad: Pair, out: Array) -> None:
        pointers, dtype = self._floats("avg_pool", x, out)
        self._module.avg_pool_forward(
            *pointers, x.shape, out.shape[1:3], size, stride, pad, dtype, self._where()
        )  # fmt: skip

    def avg_pool_backward(self, dy: Array, *, size: Pair, stride: Pair, pad: Pair, out: Array) -> None:
        pointers, dtype = self._floats("avg_pool_backward", dy, out)
        self._module.avg_pool_backward(
            *pointers, out.shape, dy.shape[1:3], size, stride, pad, dtype, self._where()
        )  # fmt: skip
