"""Softmax and the loss."""

from ..arrays import Array
from .status import Status


class Softmax(Status):
    def softmax(self, logits: Array, *, out: Array) -> None:
        self._module.softmax_forward(*self._float32("softmax", logits, out), logits.shape, self._where())

    def softmax_cross_entropy(
        self, logits: Array, labels: Array, *, topk: tuple[int, ...], state: Array | None,
        out: tuple[Array, Array, Array],
    ) -> None:  # fmt: skip
        self._require_float32("softmax_cross_entropy", logits)
        if out[2].dtype != logits.dtype:
            raise NotImplementedError(
                f"softmax_cross_entropy: backend '{self._name}' has no kernel yet that writes dlogits of "
                f"{out[2].dtype.name} for logits of {logits.dtype.name}"
            )
        scratch = self._scratch(self._module.loss_scratch_words(logits.shape[1]))
        try:
            self._module.softmax_cross_entropy(
                *map(self._address, (logits, labels, *out, state)), self._status(), self._address(scratch),
                scratch.size, logits.shape, topk, self._where(),
            )  # fmt: skip
        except Exception:
            self._drop_scratch()  # what a failed kernel leaves in it is no beginning for the next
            raise
