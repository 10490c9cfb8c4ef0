"""How weights begin. A draw depends on the seed and the parameter's name alone, never on where the net is placed."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0 and standard deviation `std`: 2012's, with .01 and .03."""

    std: float = 0.01

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
        return generator.standard_normal(shape, np.float32) * np.float32(self.std)


@dataclass(frozen=True)
class He:
    """Normal with variance `2 / fan_in`: what keeps the scale of signals through ReLUs (He et al., 2015)."""

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
        return generator.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / fan_in))


@dataclass(frozen=True)
class Glorot:
    """Uniform with variance `2 / (fan_in + fan_out)`: the same for tanh (Glorot and Bengio, 2010)."""

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
        limit = math.sqrt(6 / (fan_in + fan_out))
        return ((generator.random(shape, np.float32) * 2 - 1) * np.float32(limit)).astype(np.float32)


@dataclass(frozen=True)
class Constant:
    """The same value everywhere: biases."""

    value: float = 0.0

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
        return np.full(shape, self.value, np.float32)


Init = Normal | He | Glorot | Constant
KINDS: dict[str, type] = {kind.__name__: kind for kind in (Normal, He, Glorot, Constant)}


def generator(seed: int, name: str) -> np.random.Generator:
    """The stream of one parameter: counter-based, so drawing one says nothing about another."""
    return np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), zlib.crc32(name.encode())]))
