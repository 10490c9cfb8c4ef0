"""Operations that treat every element alone."""

from ..arrays import Array
from .base import Base


class Pointwise(Base):
    def relu(self, x: Array, *, out: Array) -> None:
        self._module.relu_forward(*self._float32("relu", x, out), x.size, self._where())

    def relu_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        self._module.relu_backward(*self._float32("relu_backward", dy, y, out), dy.size, self._where())

    def tanh(self, x: Array, *, out: Array) -> None:
        self._module.tanh_forward(*self._float32("tanh", x, out), x.size, self._where())

    def tanh_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        self._module.tanh_backward(*self._float32("tanh_backward", dy, y, out), dy.size, self._where())

    def sigmoid(self, x: Array, *, out: Array) -> None:
        self._module.sigmoid_forward(*self._float32("sigmoid", x, out), x.size, self._where())

    def sigmoid_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        self._module.sigmoid_backward(*self._float32("sigmoid_backward", dy, y, out), dy.size, self._where())

    def add(self, a: Array, b: Array, *, out: Array) -> None:
        self._module.add_forward(*self._float32("add", a, b, out), a.size, self._where())

    def scale(self, x: Array, *, factor: float, out: Array) -> None:
        self._module.scale_forward(*self._float32("scale", x, out), x.size, factor, self._where())
