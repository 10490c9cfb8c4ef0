"""Sliding windows along one axis: which outputs find a pixel at a tap, and which pixels those are."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """`outputs` windows, `stride` apart; pixel 0 of the first is `start` (negative in padding) of an axis of `length`.

    A chunk of the outputs, or of the pixels, of an axis is an Axis again; what lies outside counts as padding.
    """

    outputs: int
    stride: int
    start: int
    length: int

    def tap(self, t: int) -> tuple[slice, slice]:
        """(outputs, pixels): the outputs whose tap t is a pixel, and as many pixels, `stride` apart."""
        first = self.start + t
        begin = max(-(first // self.stride), 0)
        end = max(min((self.length - 1 - first) // self.stride + 1, self.outputs), begin)
        pixel = first + begin * self.stride
        return slice(begin, end), slice(pixel, pixel + (end - begin) * self.stride, self.stride)

    def span(self, size: int) -> int:
        """From the first position of the first window of `size` to the last of the last, padding included."""
        return (self.outputs - 1) * self.stride + size

    def pixels(self, size: int) -> slice:
        """The pixels from the first to the last that windows of `size` can see."""
        begin = min(max(self.start, 0), self.length)
        end = max(min(self.start + self.span(size), self.length), begin)
        return slice(begin, end)

    def of_outputs(self, outputs: slice) -> "Axis":
        """The same axis with only these outputs."""
        return Axis(outputs.stop - outputs.start, self.stride, self.start + outputs.start * self.stride, self.length)

    def of_pixels(self, pixels: slice) -> "Axis":
        """The same windows over these pixels alone, counted from the first of them."""
        return Axis(self.outputs, self.stride, self.start - pixels.start, pixels.stop - pixels.start)

    def pixels_per_window(self, size: int) -> np.ndarray:
        """Number of pixels in each window, integers [outputs]."""
        count = np.zeros(self.outputs, np.int64)
        for t in range(size):
            count[self.tap(t)[0]] += 1
        return count


def fold(op: np.ufunc, empty: float, x: np.ndarray, axis: int, windows: Axis, size: int, out: np.ndarray) -> None:
    """out = op over the pixels of each window along an axis of x, starting from `empty`."""
    out.fill(empty)
    before = (slice(None),) * axis
    for t in range(size):
        outputs, pixels = windows.tap(t)
        target = out[before + (outputs,)]
        op(target, x[before + (pixels,)], out=target)
