"""Mean image and colour covariance of a set of images, from exact integer sums.

Integers, because then neither the order of the images nor who adds them up changes a bit of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHUNK = 1 << 16  # values that are added up at once: they and their products stay in a core's cache


@dataclass
class PixelSums:
    """Sums over images uint8 [n, S, S, C].

    pixels: uint64 [S, S, C], the sum of the images; products: int64 [C, C], over all pixels of all images the sum of
    channel times channel.
    """

    images: int
    pixels: np.ndarray
    products: np.ndarray

    @classmethod
    def zero(cls, size: int, channels: int) -> PixelSums:
        return cls(0, np.zeros((size, size, channels), np.uint64), np.zeros((channels, channels), np.int64))

    def add(self, images: np.ndarray) -> None:
        """Count `images` uint8 [n, S, S, C] in."""
        at_once = max(1, CHUNK // max(images[0].size, 1)) if len(images) else 1
        for first in range(0, len(images), at_once):
            chunk = images[first : first + at_once]
            self.pixels += chunk.sum(axis=0, dtype=np.uint64)
            planes = np.ascontiguousarray(chunk.reshape(-1, chunk.shape[-1]).T.astype(np.uint16))
            for i, plane in enumerate(planes):  # 255 * 255 still fits uint16
                self.products[i] += [int((plane * other).sum(dtype=np.uint64)) for other in planes]
        self.images += len(images)

    def merge(self, other: PixelSums) -> None:
        """Count in what `other` has counted."""
        self.images += other.images
        self.pixels += other.pixels
        self.products += other.products

    def mean_image(self) -> np.ndarray:
        """float32 [S, S, C]."""
        return (self.pixels / self.images).astype(np.float32)

    def covariance(self) -> np.ndarray:
        """float64 [C, C], of the pixels' colours; divided by the number of pixels."""
        size, _, channels = self.pixels.shape
        count = self.images * size * size
        sums = [int(value) for value in self.pixels.sum(axis=(0, 1))]
        rows = range(channels)
        # Python's integers: the numerators are far past 64 bits, and their division rounds once.
        return np.array(
            [[(count * int(self.products[i, j]) - sums[i] * sums[j]) / count**2 for j in rows] for i in rows]
        )

    def principal_colors(self) -> tuple[np.ndarray, np.ndarray]:
        """(eigenvectors float32 [C, C], one in each row; standard deviations along them float32 [C]), largest first.

        An eigenvector's sign is free; here its component of largest size is positive, so that it is reproducible.
        """
        variances, vectors = np.linalg.eigh(self.covariance())
        rows = vectors.T[::-1]
        largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1, keepdims=True), axis=1)
        stdevs = np.sqrt(np.maximum(variances[::-1], 0))
        return (rows * np.sign(largest)).astype(np.float32), stdevs.astype(np.float32)
