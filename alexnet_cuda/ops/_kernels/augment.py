"""From stored bytes to a minibatch."""

from ..arrays import Array
from .status import Status


class Augment(Status):
    def augment(
        self, images: Array, *, crop: tuple[int, int], offsets: Array, flips: Array, color_shift: Array | None,
        mean: Array | None, out: Array,
    ) -> None:  # fmt: skip
        _, dtype = self._floats("augment", out)
        arrays = (images, offsets, flips, color_shift, mean, out)
        mean_shape = mean.shape[:2] if mean is not None and mean.ndim == 3 else (0, 0)
        self._module.augment(
            *map(self._address, arrays), self._status(), images.shape, crop, mean_shape, dtype, self._where()
        )  # fmt: skip
