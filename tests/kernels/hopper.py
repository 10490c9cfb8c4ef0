"""What tests of single Hopper kernels share. They run on the emulator; a GPU sees the kernels through operations."""

import numpy as np

from alexnet_cuda import config
from alexnet_cuda.checks.guard import Guarded, poison
from alexnet_cuda.ops.arrays import BFLOAT16

emulated = config.load("_emulated")[0]
HERE = (-1, 0)  # device and stream of a call
BOTH = ("integers", "normal")


def as_bf16(array):
    """The values that bfloat16 keeps, in float64."""
    return array.astype(BFLOAT16).astype(np.float64)


def guarded_output(shape, dtype):
    """NaN between canaries, at a multiple of 16 bytes."""
    return Guarded(poison(shape, dtype), 0)


def bf16_bound(got, scale, terms):
    """The largest allowed error: roundings of float32 sums on matrix units, and of a result stored in bfloat16."""
    bound = 4 * 2.0**-23 * np.sqrt(terms) * scale
    return bound + 2.0**-8 * np.abs(got.astype(np.float64)) if got.dtype == BFLOAT16 else bound
