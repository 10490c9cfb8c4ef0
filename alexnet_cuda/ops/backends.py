"""The registry of backends, and the choice among them.

A backend is any object that has functions named like the operations. Arrays decide: CuPy arrays run on `cuda`;
NumPy arrays run on `cpu` unless a `with backend(...)` block says otherwise.
"""

import contextlib
import contextvars
import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

NUMPY_BACKENDS = ("reference", "cpu")
HOST_BACKENDS = (*NUMPY_BACKENDS, "emulated")
BACKENDS = (*HOST_BACKENDS, "cuda")

_host_backend = contextvars.ContextVar("alexnet_cuda_host_backend", default="cpu")
_loaded: dict[str, Any] = {}
_loading = threading.Lock()


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Run operations on NumPy arrays with another backend inside a `with` block.

    name: "cpu" (the default), "reference" (readable NumPy) or "emulated" (the CUDA kernels on a CPU). CuPy arrays
    always run on "cuda". The choice is local to the thread or task. Raises ValueError for any other name.
    """
    if name == "cuda":
        raise ValueError("backend: 'cuda' is not chosen by name; pass CuPy arrays, e.g. cupy.asarray(x)")
    if name not in HOST_BACKENDS:
        raise ValueError(f"backend: got {name!r}, wanted one of {', '.join(HOST_BACKENDS)}")
    token = _host_backend.set(name)
    try:
        yield
    finally:
        _host_backend.reset(token)


def chosen(on_gpu: bool) -> str:
    """Name of the backend for arrays on a GPU or on the host."""
    return "cuda" if on_gpu else _host_backend.get()


def load(name: str) -> Any:
    """The backend of that name, imported on first use. Raises DeviceError when this machine or build lacks it."""
    if name not in _loaded:
        with _loading:  # one for all threads: each has memory of its own
            if name not in _loaded:
                _loaded[name] = _load(name)
    return _loaded[name]


def _load(name: str) -> Any:
    if name in ("reference", "cpu"):
        return importlib.import_module(f".{name}", __package__)
    from . import kernels

    return kernels.load(name)


def implementation(name: str, op: str) -> Callable[..., None]:
    """The function of a backend that computes `op`; NotImplementedError names the operation if there is none."""
    function: Callable[..., None] | None = getattr(load(name), op, None)
    if function is None:
        instead = "with ops.backend('cpu')" if name == "emulated" else "NumPy arrays"
        raise NotImplementedError(f"{op}: backend '{name}' has no kernel for it yet; use {instead}")
    return function
