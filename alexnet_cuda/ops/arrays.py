"""The one gate for user arrays: kind, dtype, shape, order, device, aliasing. It never copies.

NumPy arrays pass as they are; CuPy arrays too; other libraries' arrays enter through DLPack or
`__cuda_array_interface__`, sharing their memory. What does not fit is refused with the argument, what it was, what
is wanted and the fix, before anything is written.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import DeviceError
from . import backends, emulated

Array = Any  # numpy.ndarray or cupy.ndarray; CuPy is optional, so it cannot be named here
Dims = Sequence[int | str]  # a size that must match, or the letter of one that is free

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
FLOATS = (FLOAT32, BFLOAT16, FLOAT64)

_DLPACK_CPU, _DLPACK_CUDA, _DLPACK_CUDA_HOST, _DLPACK_CUDA_MANAGED = 1, 2, 3, 13


def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype of sums, biases and weight gradients: float32 for bfloat16, otherwise the same."""
    return FLOAT32 if dtype == BFLOAT16 else dtype


class Gate:
    """Checks the arrays of one call, allocates its results, and runs it on the backend the arrays ask for.

    `operation` is the name in error messages and of the function that every backend has.
    """

    def __init__(self, operation: str):
        self.operation = operation
        self._device: str | None = None  # "the host" or "cuda:0"; the first array decides
        self._first = ""
        self._inputs: list[tuple[str, Array]] = []
        self._outputs: list[tuple[str, Array]] = []
        self._given: dict[int, Any] = {}  # the user's own objects, to be handed back as results

    @property
    def on_gpu(self) -> bool:
        return self._device is not None and self._device.startswith("cuda")

    @property
    def looks_into_arrays(self) -> bool:
        """Whether bad data raise before the call: kernels note them instead, for `ops.check_status`."""
        return backends.chosen(self.on_gpu) in backends.NUMPY_BACKENDS

    @property
    def at_once(self) -> bool:
        """Whether arrays hold all that was computed before: GPUs and the streams of emulated devices are late."""
        return not self.on_gpu and self._stream is None

    @property
    def _stream(self) -> emulated.Stream | None:
        """The stream of an emulated device that this call is queued on."""
        return emulated.current() if backends.chosen(self.on_gpu) == "emulated" else None

    def error(self, kind: type[Exception], name: str, got: Any, wanted: str, fix: str = "") -> Exception:
        """An exception in the wording all operations share."""
        hint = f"; {fix}" if fix else ""
        return kind(f"{self.operation}: argument '{name}': got {got}, wanted {wanted}{hint}")

    def array(
        self, name: str, value: Any, dtypes: np.dtype | Sequence[np.dtype], dims: Dims | None = None,
        *, writable: bool = False,
    ) -> Array:  # fmt: skip
        """Take one array argument; `dims=None` accepts any number of dimensions.

        Raises TypeError (kind, dtype), ValueError (shape, empty, order, read-only) or DeviceError (device).
        """
        array = self._imported(name, value)
        dtypes = (dtypes,) if isinstance(dtypes, np.dtype) else dtypes
        self._check_dtype(name, array, dtypes, f"use {name}.astype('{dtypes[0].name}')")
        self._check_shape(name, array, dims, "")
        self._check_memory(name, array, writable)
        self._check_device(name, array)
        self._check_overlap(name, array, self._outputs, exact_allowed=False)
        if writable:
            self._check_overlap(name, array, self._inputs, exact_allowed=False)
        (self._outputs if writable else self._inputs).append((name, array))
        return array

    def output(
        self, name: str, out: Any, shape: Sequence[int], dtype: np.dtype, *, may_be_input: bool = False
    ) -> Array:
        """Take the user's result array, or allocate one beside the inputs.

        may_be_input: a pointwise operation, whose result may replace an input exactly. Partial overlap is refused.
        """
        if out is None:
            array = self._allocated(name, tuple(shape), dtype)
        else:
            array = self._imported(name, out)
            fix = f"allocate shape {_shape_text(shape)} of {dtype.name}, or leave it out"
            self._check_dtype(name, array, (dtype,), fix)
            self._check_shape(name, array, shape, fix)
            self._check_memory(name, array, writable=True)
            self._check_device(name, array)
            self._check_overlap(name, array, self._inputs, exact_allowed=may_be_input)
            self._check_overlap(name, array, self._outputs, exact_allowed=False)
        self._outputs.append((name, array))
        return array

    def workspace(self, value: Any) -> Array | None:
        """Take an optional scratch buffer: uint8, one dimension, of `ops.workspace_bytes(...)` bytes."""
        return None if value is None else self.array("workspace", value, np.dtype(np.uint8), "B", writable=True)

    def run(self, *arrays: Any, **parameters: Any) -> Any:
        """Call the backend's function of this name and return its `out`, or None if it works in place."""
        self.run_as(self.operation, *arrays, **parameters)
        return self.results(parameters.get("out"))

    def run_as(self, operation: str, *arrays: Any, **parameters: Any) -> None:
        """Call another operation's function: how compositions are made of what backends have."""
        function = backends.implementation(backends.chosen(self.on_gpu), operation)
        with self.context():
            function(*arrays, **parameters)

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """What a call runs in: its GPU as the current one, or NumPy without warnings, which would depend on the
        caller's settings: infinity and NaN pass through operations, they are not errors."""
        if self._device is not None and self.on_gpu:
            return _cupy(self.operation).cuda.Device(int(self._device.removeprefix("cuda:")))
        return np.errstate(all="ignore")

    def without_kernels(self) -> contextlib.AbstractContextManager[Any]:
        """`context` for an operation that works with NumPy or CuPy itself. NotImplementedError where NumPy would run
        before the kernels that were queued."""
        if self._stream is not None:
            raise NotImplementedError(
                f"{self.operation}: cannot be queued on a stream of an emulated device, NumPy computes it; "
                "synchronise the stream and call it outside"
            )
        return self.context()

    def results(self, out: Any) -> Any:
        """What the caller gets for `out`: the very object passed in, or the array allocated here."""
        if isinstance(out, tuple):
            return tuple(self.results(array) for array in out)
        return self._given.get(id(out), out)

    # --- kinds of arrays

    def _imported(self, name: str, value: Any) -> Array:
        if isinstance(value, np.ma.MaskedArray):
            raise self.error(TypeError, name, "a masked array", "a plain array", "fill it: a.filled(0)")
        if type(value) is np.ndarray:
            return value
        if isinstance(value, np.ndarray):  # a memory map, say; a matrix would compute by rules of its own
            return self._as_given(value.view(np.ndarray), value)
        cupy = sys.modules.get("cupy")  # whoever made a CuPy array has imported it
        if cupy is not None and isinstance(value, cupy.ndarray):
            return value
        if not isinstance(value, type):
            if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
                return self._from_dlpack(name, value)
            if hasattr(value, "__cuda_array_interface__"):
                return self._as_given(self._exported(name, value, _cupy(self.operation).asarray), value)
        kind = "None" if value is None else f"a {type(value).__name__}"
        raise self.error(
            TypeError, name, kind, "an array (NumPy, CuPy, DLPack or __cuda_array_interface__)",
            f"use np.asarray({name})",
        )  # fmt: skip

    def _from_dlpack(self, name: str, value: Any) -> Array:
        kind, index = self._exported(name, value, lambda exporter: exporter.__dlpack_device__())
        if kind in (_DLPACK_CPU, _DLPACK_CUDA_HOST):
            return self._as_given(self._exported(name, value, np.from_dlpack), value)
        if kind in (_DLPACK_CUDA, _DLPACK_CUDA_MANAGED):
            return self._as_given(self._exported(name, value, _cupy(self.operation).from_dlpack), value)
        raise self.error(DeviceError, name, f"an array on DLPack device ({kind}, {index})", "the host or CUDA")

    def _as_given(self, array: Array, given: Any) -> Array:
        """Remember the user's own object, to hand that back if it is a result."""
        self._given[id(array)] = given
        return array

    def _exported(self, name: str, value: Any, take: Callable[[Any], Any]) -> Any:
        """Share another library's memory; its own refusal (requires_grad, a dtype) becomes ours."""
        try:
            return take(value)
        except Exception as refusal:
            if type(refusal).__name__ == "CUDARuntimeError":  # CuPy's; its module may not be there to be named
                raise DeviceError(f"{self.operation}: argument '{name}': the CUDA driver says {refusal}") from refusal
            raise self.error(
                TypeError, name, f"a {type(value).__name__} that refuses to share its memory ({refusal})",
                "an array without gradient of float32, float64 or an integer type",
                f"use {name}.detach(), or for bfloat16 a NumPy array of ml_dtypes.bfloat16",
            ) from refusal  # fmt: skip

    # --- what an array must be

    def _check_dtype(self, name: str, array: Array, dtypes: Sequence[np.dtype], fix: str) -> None:
        if array.dtype in dtypes:
            return
        wanted = " or ".join(dtype.name for dtype in dtypes)
        got = array.dtype.name if array.dtype.isnative else f"{array.dtype.name} in foreign byte order"
        raise self.error(TypeError, name, got, wanted, fix)

    def _check_shape(self, name: str, array: Array, dims: Dims | None, fix: str) -> None:
        if dims is not None:
            fits = len(dims) == array.ndim and all(
                isinstance(want, str) or want == size for want, size in zip(dims, array.shape, strict=True)
            )
            if not fits:
                raise self.error(ValueError, name, _shape_text(array.shape), f"shape {_shape_text(dims)}", fix)
        if array.size == 0:
            raise self.error(ValueError, name, f"the empty shape {_shape_text(array.shape)}", "at least one element")

    def _check_memory(self, name: str, array: Array, writable: bool) -> None:
        if not array.flags.c_contiguous:
            module = "np" if isinstance(array, np.ndarray) else "cupy"
            got = f"strides {array.strides} for shape {_shape_text(array.shape)}"
            raise self.error(ValueError, name, got, "C-contiguous memory", f"use {module}.ascontiguousarray({name})")
        if isinstance(array, np.ndarray):
            if not array.flags.aligned:
                raise self.error(ValueError, name, "misaligned memory", "aligned elements", f"use {name}.copy()")
            if writable and not array.flags.writeable:
                # What arrives through an older DLPack is read-only, whatever its owner may do with it.
                shared = id(array) in self._given
                fix = f"pass it as a NumPy array, e.g. {name}.numpy()" if shared else f"use {name}.copy()"
                raise self.error(ValueError, name, "a read-only array", "a writable one", fix)
        elif writable:  # CuPy forgets this flag when it takes another library's array
            interface = getattr(self._given.get(id(array)), "__cuda_array_interface__", None)
            if interface and interface["data"][1]:
                raise self.error(ValueError, name, "a read-only array", "a writable one", f"use cupy.copy({name})")

    def _check_device(self, name: str, array: Array) -> None:
        device = "the host" if isinstance(array, np.ndarray) else f"cuda:{array.device.id}"
        if self._device is None:
            self._device, self._first = device, name
        elif device != self._device:
            fix = f"use cupy.asnumpy({name})" if self._device == "the host" else f"use cupy.asarray({name})"
            raise self.error(
                DeviceError, name, f"an array on {device}", f"{self._device}, where '{self._first}' is", fix
            )

    def _check_overlap(
        self, name: str, array: Array, others: Sequence[tuple[str, Array]], *, exact_allowed: bool
    ) -> None:
        start, end = _extent(array)
        for other_name, other in others:
            other_start, other_end = _extent(other)
            if end <= other_start or other_end <= start:
                continue
            if exact_allowed and (start, end) == (other_start, other_end) and array.dtype == other.dtype:
                continue
            wanted = f"'{other_name}' itself or separate memory" if exact_allowed else "separate memory"
            raise self.error(ValueError, name, f"memory that overlaps '{other_name}'", wanted, "allocate it anew")

    # --- allocation

    def _allocated(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        wanted = math.prod(shape) * dtype.itemsize
        try:
            if wanted > sys.maxsize:
                raise MemoryError
            with self.context():
                if self._stream is not None:
                    return self._stream.empty(shape, dtype)
                return (_cupy(self.operation) if self.on_gpu else np).empty(shape, dtype)
        except MemoryError as error:
            with self.context():
                free = _free_bytes(self.on_gpu)
            raise MemoryError(
                f"{self.operation}: result '{name}' {_shape_text(shape)} of {dtype.name} needs {wanted:,} bytes, "
                f"{free:,} are free on {self._device}; use a smaller batch"
            ) from error


def _shape_text(dims: Sequence[int | str]) -> str:
    return f"[{', '.join(str(size) for size in dims)}]"


def _extent(array: Array) -> tuple[int, int]:
    """First address of a contiguous array and the one past its end."""
    start = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    return start, start + array.nbytes


def _free_bytes(on_gpu: bool) -> int:
    if on_gpu:
        return int(sys.modules["cupy"].cuda.runtime.memGetInfo()[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cupy(operation: str) -> Any:
    """CuPy, imported only when an array on a GPU asks for it."""
    try:
        import cupy
    except ImportError as error:
        raise DeviceError(
            f"{operation}: an array on a GPU needs CuPy, which is not installed; pip install cupy-cuda13x"
        ) from error
    return cupy
