"""Operations that treat every element alone."""

from ..arrays import Array
from .base import Base


class Pointwise(Base):
    def relu(self, x: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("relu", x, out)
        self._module.relu_forward(*pointers, x.size, dtype, self._where())

    def relu_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("relu_backward", dy, y, out)
        self._module.relu_backward(*pointers, dy.size, dtype, self._where())

    def tanh(self, x: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("tanh", x, out)
        self._module.tanh_forward(*pointers, x.size, dtype, self._where())

    def tanh_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("tanh_backward", dy, y, out)
        self._module.tanh_backward(*pointers, dy.size, dtype, self._where())

    def sigmoid(self, x: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("sigmoid", x, out)
        self._module.sigmoid_forward(*pointers, x.size, dtype, self._where())

    def sigmoid_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("sigmoid_backward", dy, y, out)
        self._module.sigmoid_backward(*pointers, dy.size, dtype, self._where())

    def add(self, a: Array, b: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("add", a, b, out)
        self._module.add_forward(*pointers, a.size, dtype, self._where())

    def scale(self, x: Array, *, factor: float, out: Array) -> None:
        pointers, dtype = self._floats("scale", x, out)
        self._module.scale_forward(*pointers, x.size, factor, dtype, self._where())
