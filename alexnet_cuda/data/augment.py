"""What is drawn for each image: its place in the epoch's order, its crop, its mirror image, its colour shift.

Each is a function of (seed, epoch, image id) alone, so neither the batch an image falls into, nor the number of
worker threads, nor where a run was resumed can change it. The numbers come from Philox4x32-10: counter (id, what is
drawn, epoch, 0), key the seed. Source: the paper, section 4.1.
"""

import numpy as np

from ..ops import philox4x32

# Dropout draws from the seed itself as the key, with counters (image >> 2, feature, layer, step) that take every
# value these can. A key that differs from the seed gives a stream of its own for any counters.
_KEY = int.from_bytes(b"shuffles", "little")

# Second word of the counter. A colour shift takes as many counters as it needs, from _COLOR on.
_ORDER, _PLACE, _COLOR = 0, 1, 2


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order in which an epoch takes n images: int64 [n], each of 0 to n - 1 once.

    Images are sorted by a random number of 64 bits each. NumPy's generators, whose shuffles may change between
    versions, are not asked.
    """
    words = _words(seed, epoch, np.arange((n + 1) // 2), _ORDER).astype(np.uint64)
    keys = (words[:, 0::2] << np.uint64(32) | words[:, 1::2]).reshape(-1)[:n]  # two of a counter's four words each
    return np.argsort(keys, kind="stable")


def draw(
    seed: int, epoch: int, ids: np.ndarray, *, size: int, crop: int, random_crop: bool, flip: bool, color: float,
    eigenvectors: np.ndarray, stdevs: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:  # fmt: skip
    """What happens to each of some images in an epoch: (offsets, flips, color_shift), as `ops.augment` takes them.

    ids: int64 [n]; size, crop: sides of the stored image and of the crop, in pixels. random_crop: any of the
    (size - crop + 1)^2 places, equally likely, otherwise the centre; flip: mirrored half the time, otherwise never.
    color: standard deviations of the shift along each principal component of the training pixels, in units of that
    component's own standard deviation (0.1 in the paper), 0 for none. eigenvectors: [channels, channels], one a row;
    stdevs: [channels], square roots of the eigenvalues in units of a pixel's 0 to 255.
    Returns int32 [n, 2] (y, x), uint8 [n], and float32 [n, channels] or None.

    The paper multiplies by the eigenvalue, which makes sense for pixels between 0 and 1; this is its square root, as
    in the code of 2012.
    """
    offsets, flips = centre(len(ids), size, crop)
    if random_crop or flip:
        words = _words(seed, epoch, ids, _PLACE)
        if random_crop:
            places = np.uint64(size - crop + 1)
            offsets = (words[:, :2].astype(np.uint64) * places >> np.uint64(32)).astype(np.int32)
        if flip:
            flips = (words[:, 2] >> np.uint32(31)).astype(np.uint8)
    if not color:
        return offsets, flips, None
    amounts = _normals(seed, epoch, ids, len(stdevs)) * (color * stdevs.astype(np.float64))
    shift = np.zeros(amounts.shape)
    for component, vector in enumerate(eigenvectors.astype(np.float64)):  # not `@`: a BLAS's last bits depend on n
        shift += amounts[:, component, None] * vector
    return offsets, flips, shift.astype(np.float32)


def centre(n: int, size: int, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """(offsets, flips) of n images for evaluation: the centre, not mirrored."""
    return np.full((n, 2), (size - crop) // 2, np.int32), np.zeros(n, np.uint8)


def ten_views(size: int, crop: int) -> list[tuple[tuple[int, int], int]]:
    """The ((y, x), flip) of the paper's ten test views: four corners and the centre, then the same mirrored."""
    middle, last = (size - crop) // 2, size - crop
    places = [(0, 0), (0, last), (last, 0), (last, last), (middle, middle)]
    return [(place, flip) for flip in (0, 1) for place in places]


def _words(seed: int, epoch: int, ids: np.ndarray, what: int) -> np.ndarray:
    """Four random 32-bit words for each id: uint32 [n, 4]."""
    key = seed ^ _KEY
    return philox4x32((ids, what, epoch, 0), (key & 0xFFFFFFFF, key >> 32))


def _normals(seed: int, epoch: int, ids: np.ndarray, count: int) -> np.ndarray:
    """Standard normal numbers, float64 [n, count], by Box and Muller's transform: two words make two of them."""
    blocks = [_words(seed, epoch, ids, _COLOR + block) for block in range((count + 3) // 4)]
    uniform = (np.concatenate(blocks, axis=1) + 0.5) * 2.0**-32  # never 0, whose logarithm is infinite
    radius = np.sqrt(-2 * np.log(uniform[:, 0::2]))
    angle = 2 * np.pi * uniform[:, 1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count]
