"""Which devices a net can run on here, and which are the best of them."""

from __future__ import annotations

import os

from .. import config, nn
from ..errors import DeviceError
from ..nn.net import Net
from ..ops import backends

_FOR_ALL = ("add", "augment", "scale", "sgd_momentum")


def operations(net: Net) -> list[str]:
    """The operations that training `net` may call, in alphabetical order."""
    return sorted({*_FOR_ALL, *(name for layer in net.layers for name in layer.operations)})


def missing_kernels(net: Net, backend: str) -> list[str]:
    """The operations of `net` that a backend has no kernel for. Raises DeviceError where it cannot be used at all."""
    implementation = backends.load(backend)
    return [name for name in operations(net) if not hasattr(implementation, name)]


def best_devices(net: Net) -> str:
    """The fastest devices here that can run `net`, as `nn.devices` takes them.

    GPUs where the CUDA backend can be used and has a kernel for every operation of the net, one for each tower where
    there are two; otherwise the CPU.
    """
    if config.cuda_problem() is not None or missing_kernels(net, "cuda"):
        return "cpu"
    return "cuda:0,cuda:1" if net.towers == 2 and _gpus() > 1 else "cuda:0"


def usable_devices(net: Net, spec: str | None) -> list[nn.Device]:
    """The devices that `spec` names, or the best ones for None.

    Raises ValueError for a name that is none, DeviceError for a GPU that is not there, and for a backend that has no
    kernel for an operation of the net.
    """
    found = nn.devices(best_devices(net) if spec is None else spec)
    for device in found:
        backend = device.name.partition(":")[0]
        if missing := missing_kernels(net, backend):
            raise DeviceError(
                f"{device.name}: net '{net.name}' needs {', '.join(missing)}, for which the backend '{backend}' has no "
                "kernel yet; use the device cpu"
            )
    return found


def blas_threads() -> int:
    """Threads of NumPy's matrix products, as the environment asks for them: the last bits of sums depend on it."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0))


def _gpus() -> int:
    module, _ = config.load("_cuda")
    return 0 if module is None else int(module.device_status()[2])
