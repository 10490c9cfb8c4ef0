"""The operations on compiled kernels: `emulated` runs them on NumPy arrays, `cuda` on CuPy arrays.

Both are the same C++ sources through the same bindings; they differ in the module loaded here and in whose memory
the pointers point at. The gate has checked the arrays; C++ receives addresses, counts and a stream.
"""

import sys
from typing import Any

from .. import config
from ..errors import DeviceError
from .arrays import BFLOAT16, FLOAT32, Array


def load(name: str) -> "Kernels":
    """The compiled backend "emulated" or "cuda". Raises DeviceError with the reason when it cannot be used."""
    if name == "cuda" and (problem := config.cuda_problem()):
        raise DeviceError(problem)
    module, problem = config.load(f"_{name}")
    if module is None:
        raise DeviceError(f"the backend '{name}' is not there: {problem}")
    return Kernels(module, name)


class Kernels:
    """Calls into one extension module. An operation without a method here has no kernel yet."""

    def __init__(self, module: Any, name: str):
        self._module = module
        self._name = name

    def relu(self, x: Array, *, out: Array) -> None:
        x_ptr, out_ptr = self._float32("relu", x, out)
        self._module.relu_forward(x_ptr, out_ptr, x.size, self._stream())

    def relu_backward(self, dy: Array, y: Array, *, out: Array) -> None:
        dy_ptr, y_ptr, out_ptr = self._float32("relu_backward", dy, y, out)
        self._module.relu_backward(dy_ptr, y_ptr, out_ptr, dy.size, self._stream())

    def _float32(self, op: str, *arrays: Array) -> list[int]:
        """Addresses of arrays that a float32 kernel takes."""
        dtype = arrays[0].dtype
        if dtype == BFLOAT16:
            raise NotImplementedError(
                f"{op}: backend '{self._name}' has no bfloat16 kernel for it yet; use float32 arrays"
            )
        if dtype != FLOAT32:
            raise TypeError(
                f"{op}: backend '{self._name}' computes in float32, got {dtype.name}; use x.astype('float32'), "
                "or the backend 'cpu' or 'reference' for float64"
            )
        return [array.data.ptr if self._name == "cuda" else array.ctypes.data for array in arrays]

    def _stream(self) -> int:
        """CuPy's current stream as an address; the emulator has none yet."""
        return int(sys.modules["cupy"].cuda.get_current_stream().ptr) if self._name == "cuda" else 0
