"""What tests of single Hopper kernels share. They run on the emulator, and those that take a machine on a GPU too."""

import numpy as np

from alexnet_cuda import config
from alexnet_cuda.checks.guard import Guarded, poison
from alexnet_cuda.ops.arrays import BFLOAT16

emulated = config.load("_emulated")[0]
HERE = (-1, 0)  # device and stream of a call
BOTH = ("integers", "normal")


class Emulator:
    """Where a kernel is called: a compiled module, and NumPy's arrays where it can reach them."""

    module, where = emulated, HERE

    def move(self, array):
        return np.asarray(array)

    def back(self, array):
        return array

    def address(self, array):
        return array.ctypes.data


class Gpu(Emulator):
    """The first of this machine, with CuPy's arrays, on the default stream."""

    where = (0, 0)

    def __init__(self):
        import cupy

        self._cupy = cupy
        self.module = config.load("_cuda")[0]

    @property
    def capability(self):
        return self._cupy.cuda.Device(0).compute_capability

    def move(self, array):
        return self._cupy.asarray(array)

    def back(self, array):
        return self._cupy.asnumpy(array)

    def address(self, array):
        return int(array.data.ptr)


EMULATOR = Emulator()


def as_bf16(array):
    """The values that bfloat16 keeps, in float64."""
    return array.astype(BFLOAT16).astype(np.float64)


def guarded(contents, machine=EMULATOR):
    """A copy between canaries where a machine can reach it, at a multiple of 16 bytes."""
    return Guarded(contents, 0, machine.move, machine.back)


def guarded_output(shape, dtype, machine=EMULATOR):
    """NaN between canaries."""
    return guarded(poison(shape, dtype), machine)


def bf16_bound(got, scale, terms):
    """The largest allowed error: roundings of float32 sums on matrix units, and of a result stored in bfloat16."""
    bound = 4 * 2.0**-23 * np.sqrt(terms) * scale
    return bound + 2.0**-8 * np.abs(got.astype(np.float64)) if got.dtype == BFLOAT16 else bound
