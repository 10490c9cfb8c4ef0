"""Cases of the step from stored bytes to a minibatch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ops import parameters
from ..table import Arguments, Operation


@dataclass(frozen=True)
class AugmentCase:
    """mean is "none", "channels" or "image"."""

    name: str
    images: tuple[int, int, int, int]
    crop: int | tuple[int, int]
    mean: str = "channels"
    shift: bool = False


CASES = (
    AugmentCase("one pixel", (1, 1, 1, 3), 1),
    AugmentCase("bytes as they are", (4, 6, 5, 3), (6, 5), mean="none"),
    AugmentCase("rectangular crop", (5, 9, 8, 3), (4, 7)),
    AugmentCase("mean image", (6, 10, 10, 3), 7, mean="image"),
    AugmentCase("colour shift", (7, 8, 8, 3), 6, shift=True),
    AugmentCase("all at once", (9, 12, 11, 3), (8, 9), mean="image", shift=True),
    AugmentCase("grey", (5, 28, 28, 1), 24),
    *(AugmentCase(f"batch of {n}", (n, 6, 6, 3), 5, shift=True) for n in (2, 31, 32, 33, 127, 128, 129, 257)),
    AugmentCase("alexnet_mini", (16, 36, 36, 3), 32),
    AugmentCase("alexnet_2012", (3, 256, 256, 3), 224, mean="image", shift=True),
)


def _draw(case: AugmentCase, rng: np.random.Generator, values: str) -> Arguments:
    n, H, W, C = case.images
    h, w = parameters.pair("check", "crop", case.crop, minimum=1)
    round_all = np.rint if values == "integers" else np.asarray
    mean = {"none": None, "channels": rng.uniform(90, 130, C), "image": rng.uniform(90, 130, (H, W, C))}[case.mean]
    shift = rng.normal(0, 10, (n, C)) if case.shift else None
    offsets = np.stack([rng.integers(0, H - h + 1, n), rng.integers(0, W - w + 1, n)], axis=1)
    return Arguments(
        values={},
        fixed={
            "images": rng.integers(0, 256, case.images, dtype=np.uint8),
            "crop": case.crop,
            "offsets": offsets.astype(np.int32),
            "flips": rng.integers(0, 2, n).astype(bool),
            "color_shift": None if shift is None else round_all(shift).astype(np.float32),
            "mean": None if mean is None else round_all(mean).astype(np.float32),
        },
        dtype_parameter="dtype",
    )


def _scale(a: dict[str, Any]) -> float:
    shift = 0 if a["color_shift"] is None else float(np.abs(a["color_shift"]).max())
    mean = 0 if a["mean"] is None else float(a["mean"].max())
    return 255 + shift + mean


OPERATIONS = (Operation("augment", ("x",), CASES, _draw, terms=lambda a: 2, scale=_scale),)
