"""Local response normalisation, across channels and within one."""

from ..arrays import Array
from .base import Base


class Lrn(Base):
    def lrn(self, x: Array, *, size: int, alpha: float, beta: float, k: float, groups: int, out: Array) -> None:
        size = _window(size, x.shape[0] // groups)
        self._module.lrn_forward(
            *self._float32("lrn", x, out), x.shape, groups, size, alpha, beta, k, self._where()
        )  # fmt: skip

    def lrn_backward(
        self, x: Array, dy: Array, *, size: int, alpha: float, beta: float, k: float, groups: int, out: Array
    ) -> None:
        size = _window(size, x.shape[0] // groups)
        self._module.lrn_backward(
            *self._float32("lrn_backward", x, dy, out), x.shape, groups, size, alpha, beta, k, self._where()
        )

    def lrn_within_channel(self, x: Array, *, size: int, alpha: float, beta: float, k: float, out: Array) -> None:
        size = _window(size, max(x.shape[1:3]))
        self._module.lrn_within_channel_forward(
            *self._float32("lrn_within_channel", x, out), x.shape, size, alpha, beta, k, self._where()
        )

    def lrn_within_channel_backward(
        self, x: Array, dy: Array, *, size: int, alpha: float, beta: float, k: float, out: Array
    ) -> None:
        size = _window(size, max(x.shape[1:3]))
        self._module.lrn_within_channel_backward(
            *self._float32("lrn_within_channel_backward", x, dy, out), x.shape, size, alpha, beta, k, self._where()
        )


def _window(size: int, length: int) -> int:
    """The same window, or if it is larger, one that holds all of `length` neighbours too wherever its centre is."""
    return min(size, max(9, 2 * length + 1))
