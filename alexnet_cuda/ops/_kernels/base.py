"""What the calls into a compiled module have in common: addresses, dtypes, and where to run."""

import sys
from typing import Any

import numpy as np

from ..arrays import BFLOAT16, FLOAT32, Array

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
        self._require_float32(op, arrays[0])
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

    def _require_float32(self, op: str, array: Array) -> None:
        if array.dtype == BFLOAT16:
            raise NotImplementedError(
                f"{op}: backend '{self._name}' has no bfloat16 kernel for it yet; use float32 arrays"
            )
        if array.dtype != FLOAT32:
            raise TypeError(
                f"{op}: backend '{self._name}' computes in float32, got {array.dtype.name}; use x.astype('float32'), "
                "or the backend 'cpu' or 'reference' for float64"
            )

    def _address(self, array: Array | None) -> int:
        """Where an array begins; 0, a null pointer, for None."""
        if array is None:
            return 0
        return int(array.data.ptr if self._name == "cuda" else array.ctypes.data)

    def _workspace(self, op: str, given: Array | None, wanted: int) -> Array | None:
        """Scratch memory of `wanted` bytes: the caller's, or if none was given some of its own.

        Either way the kernel splits its sums alike, so the bits of a result do not depend on who brought the memory.
        Memory of CuPy's pool that is let go after a launch is handed out again in the order of the stream.
        """
        if wanted == 0:
            return None
        if given is None:
            array_module: Any = sys.modules["cupy"] if self._name == "cuda" else np
            return array_module.empty(wanted, np.uint8)
        if given.nbytes < wanted:
            raise ValueError(
                f"{op}: argument 'workspace': got {given.nbytes} bytes, wanted {wanted}; "
                f"use ops.workspace_bytes('{op}', ...)"
            )
        return given

    def _library(self) -> Any:
        """What arrays of this backend are made by."""
        return sys.modules["cupy"] if self._name == "cuda" else np

    def _where(self) -> Where:
        """The device that the gate made current and CuPy's current stream on it; the emulator has neither yet."""
        if self._name != "cuda":
            return -1, 0
        cuda = sys.modules["cupy"].cuda
        return int(cuda.runtime.getDevice()), int(cuda.get_current_stream().ptr)
