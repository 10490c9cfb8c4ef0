"""Softmax and the loss."""

from ..arrays import Array
from .status import Status


class Softmax(Status):
    def softmax(self, logits: Array, *, out: Array) -> None:
        pointers, dtype = self._floats("softmax", logits, out)
        self._module.softmax_forward(*pointers, logits.shape, dtype, self._where())

    def softmax_cross_entropy(
        self, logits: Array, labels: Array, *, topk: tuple[int, ...], state: Array | None,
        out: tuple[Array, Array, Array],
    ) -> None:  # fmt: skip
        _, dtype = self._floats("softmax_cross_entropy", logits)
        scratch = self._scratch(self._module.loss_scratch_words(logits.shape[1]))
        try:
            self._module.softmax_cross_entropy(
                *map(self._address, (logits, labels, *out, state)), self._status(), self._address(scratch),
                scratch.size, logits.shape, topk, dtype, out[2].dtype.name, self._where(),
            )  # fmt: skip
        except Exception:
            self._drop_scratch()  # what a failed kernel leaves in it is no beginning for the next
            raise
