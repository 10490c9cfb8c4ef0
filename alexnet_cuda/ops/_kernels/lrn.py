"""Local response normalisation, across channels and within one."""

from ..arrays import Array
from .base import Base


class Lrn(Base):
    def lrn(self, x: Array, *, size: int, alpha: float, beta: float, k: float, groups: int, out: Array) -> None:
        pointers, dtype = self._floats("lrn", x, out)
        size = _window(size, x.shape[0] // groups)
        self._module.lrn_forward(*pointers, x.shape, groups, size, alpha, beta, k, dtype, self._where())

    def lrn_backward(
        self, x: Array, dy: Array, *, size: int, alpha: float, beta: float, k: float, groups: int, out: Array
    ) -> None:
        pointers, dtype = self._floats("lrn_backward", x, dy, out)
        size = _window(size, x.shape[0] // groups)
        self._module.lrn_backward(*pointers, x.shape, groups, size, alpha, beta, k, dtype, self._where())

    def lrn_within_channel(self, x: Array, *, size: int, alpha: float, beta: float, k: float, out: Array) -> None:
        pointers, dtype = self._floats("lrn_within_channel", x, out)
        size = _window(size, max(x.shape[1:3]))
        self._module.lrn_within_channel_forward(*pointers, x.shape, size, alpha, beta, k, dtype, self._where())

    def lrn_within_channel_backward(
        self, x: Array, dy: Array, *, size: int, alpha: float, beta: float, k: float, out: Array
    ) -> None:
        pointers, dtype = self._floats("lrn_within_channel_backward", x, dy, out)
        size = _window(size, max(x.shape[1:3]))
        self._module.lrn_within_channel_backward(*pointers, x.shape, size, alpha, beta, k, dtype, self._where())


def _window(size: int, length: int) -> int:
    """The same window, or if it is larger, one that holds all of `length` neighbours too wherever its centre is."""
    return min(size, max(9, 2 * length + 1))
