"""A net and images so small that training them takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from alexnet_cuda import data, nn
from alexnet_cuda.data.store import Store, in_memory

CLASSES = ("ant", "bee", "cat", "dog")


def images(count: int, seed: int, size: int = 10, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright band, whose height is the label: what a net learns in a few epochs, also mirrored."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 120, (count, size, size, channels), np.uint8)
    labels = np.arange(count) % 4
    band = size // 4
    for image, label in zip(pixels, labels, strict=True):
        image[label * band + 1 : (label + 1) * band + 1] += 100
    return pixels, labels.astype(np.int32)


def store(
    train: int = 100, val: int | None = 40, size: int = 10, channels: int = 3, seed: int = 0, classes=CLASSES
) -> Store:
    held_out = None if val is None else images(val, seed + 1, size, channels)
    return in_memory(images(train, seed, size, channels), held_out, classes, "tiny")


def prepared(folder: Path) -> Path:
    """A store on the disk, of 40 training and 20 validation images."""
    for split, count in (("train", 40), ("val", 20)):
        for number, (pixels, label) in enumerate(zip(*images(count, seed=3), strict=True)):
            path = folder / "source" / split / CLASSES[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    data.prepare(folder / "source", folder / "store", size=10, workers=1)
    return folder / "store"


def net(
    classes: int = 4, towers: int = 2, name: str = "tiny", size: int = 8, channels: int = 3, std: float | None = None,
    **recipe,
) -> nn.Net:  # fmt: skip
    """Two towers that see their own maps and all of them, with dropout: one of everything that draws or crosses."""
    init = nn.He() if std is None else nn.Normal(std)
    layers = [
        nn.Conv(4, 3, pad=1, init=init), nn.ReLU(), nn.MaxPool(2, 2),
        nn.Conv(8, 3, pad=1, sees="own" if towers == 2 else "all", init=init), nn.ReLU(),
        nn.FullyConnected(16, init=init), nn.ReLU(), nn.Dropout(0.5),
        nn.FullyConnected(classes, on=0 if towers == 2 else None, init=init),
    ]  # fmt: skip
    recipe = {"batch": 8, "epochs": 3, "lr": 0.01, "store_size": 10, **recipe}
    recipe.setdefault("augmentation", nn.Augmentation(color=0.1))
    return nn.Net(layers, (channels, size, size), towers=towers, name=name, recipe=nn.Recipe(**recipe))
