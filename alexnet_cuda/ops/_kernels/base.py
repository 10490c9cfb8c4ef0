"""What the calls into a compiled module have in common: addresses, dtypes, and where to run."""

import sys
from typing import Any

import numpy as np

from .. import emulated
from ..arrays import BFLOAT16, FLOAT32, Array

ALIGNMENT = 16  # bytes
Where = tuple[int, int]  # device and stream, the last argument of every function in csrc/bindings that launches


class Base:
    """One extension module, `_emulated` or `_cuda`, and how arrays are handed to it.

    The gate has checked kinds, dtypes, shapes, order, device and overlap; C++ receives addresses, sizes and parameters,
    and checks again what would crash the process.
    """

    def __init__(self, module: Any, name: str):
        self._module = module
        self._name = name

    def _float32(self, op: str, *arrays: Array) -> list[int]:
        """Addresses of arrays of one dtype, for a kernel that takes float32."""
        dtype = arrays[0].dtype
        if dtype != FLOAT32:
            raise TypeError(
                f"{op}: backend '{self._name}' computes in float32, got {dtype.name}; use x.astype('float32'), "
                "or the backend 'cpu' or 'reference' for float64"
            )
        return [self._address(array) for array in arrays]

    def _floats(self, op: str, *arrays: Array) -> tuple[list[int], str]:
        """Addresses of arrays of one dtype and its name, for a kernel that takes float32 and bfloat16."""
        dtype = arrays[0].dtype
        if dtype not in (FLOAT32, BFLOAT16):
            raise TypeError(
                f"{op}: backend '{self._name}' computes in float32 and bfloat16, got {dtype.name}; use "
                "x.astype('float32'), or the backend 'cpu' or 'reference' for float64"
            )
        return [self._address(array) for array in arrays], dtype.name

    def _address(self, array: Array | None) -> int:
        """Where an array begins; 0, a null pointer, for None."""
        if array is None:
            return 0
        if self._name == "cuda":
            return int(array.data.ptr)
        if stream := emulated.current():
            stream.using(array)  # the work is done later
        return int(array.ctypes.data)

    def _workspace(self, op: str, given: Array | None, wanted: int, aligned: bool = True) -> Array | None:
        """Scratch memory of `wanted` bytes: the caller's, or if none was given some of its own. aligned: it would not
        be less if all arrays were.

        Either way the kernel splits its sums alike, so the bits of a result do not depend on who brought the memory.
        Memory of CuPy's pool that is let go after a launch is handed out again in the order of the stream; the
        emulator's lies between red zones, and lives until the launch has run.
        """
        if wanted == 0:
            return None
        if given is None:
            if self._name == "cuda":
                return sys.modules["cupy"].empty(wanted, np.uint8)
            return emulated.empty((wanted,), np.uint8, self._where()[0])
        if given.nbytes < wanted:
            fix = "" if aligned else f", and arrays at multiples of {ALIGNMENT} bytes"
            raise ValueError(
                f"{op}: argument 'workspace': got {given.nbytes} bytes, wanted {wanted}; "
                f"use ops.workspace_bytes('{op}', ...){fix}"
            )
        return given

    def _aligned(self, *arrays: Array | None) -> bool:
        """Whether the arrays that are there lie where the tensor cores' copy engine can read them."""
        return all(self._address(array) % ALIGNMENT == 0 for array in arrays)

    def _where(self) -> Where:
        """The device that the gate made current and CuPy's current stream on it, or those of the emulator: by default
        none, and the stream that runs work at once."""
        if self._name != "cuda":
            stream = emulated.current()
            return stream.where if stream else (emulated.NO_DEVICE, 0)
        cuda = sys.modules["cupy"].cuda
        return int(cuda.runtime.getDevice()), int(cuda.get_current_stream().ptr)
