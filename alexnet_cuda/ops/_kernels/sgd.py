"""The update."""

from ..arrays import Array
from .base import Base


class Sgd(Base):
    def sgd_momentum(
        self, w: Array, v: Array, dw: Array, *, lr: float, momentum: float, weight_decay: float,
        w_bf16: Array | None, state: Array | None,
    ) -> None:  # fmt: skip
        self._module.sgd_momentum(
            *self._float32("sgd_momentum", w, v, dw), self._address(w_bf16), self._address(state), w.size,
            lr, momentum, weight_decay, self._where(),
        )  # fmt: skip
