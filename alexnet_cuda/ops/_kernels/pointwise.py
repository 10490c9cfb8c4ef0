"""Operations that treat every element alone."""

from ..arrays import Array
from .base import Base


class Pointwise(Base):
    def relu(self, x: Array, *, out: Array) -> None:
        self._module.relu_forward(*self._float32("relu", x, out), x.size, self._where())

    def relu_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        self._module.relu_backward(*self._float32("relu_backward", dy, y, out), dy.size, self._where())
