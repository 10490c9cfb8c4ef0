"""The operations on compiled kernels: `emulated` runs them on NumPy arrays, `cuda` on CuPy arrays.

Both are the same C++ sources through the same bindings; they differ in the module loaded here and in whose memory
the pointers point at. The calls themselves are in `_kernels/`, one file for each family of operations.
"""

from .. import config
from ..errors import DeviceError
from ._kernels.augment import Augment
from ._kernels.conv import Conv
from ._kernels.dropout import Dropout
from ._kernels.gemm import Gemm
from ._kernels.lrn import Lrn
from ._kernels.pointwise import Pointwise
from ._kernels.pool import Pool
from ._kernels.sgd import Sgd
from ._kernels.softmax import Softmax


class Kernels(Conv, Gemm, Pointwise, Lrn, Dropout, Pool, Softmax, Sgd, Augment):
    """Calls into one extension module. An operation without a method here has no kernel yet."""


_loaded: list[Kernels] = []


def load(name: str) -> Kernels:
    """The compiled backend "emulated" or "cuda". Raises DeviceError with the reason when it cannot be used."""
    if name == "cuda" and (problem := config.cuda_problem()):
        raise DeviceError(problem)
    module, problem = config.load(f"_{name}")
    if module is None:
        raise DeviceError(f"the backend '{name}' is not there: {problem}")
    _loaded.append(Kernels(module, name))
    return _loaded[-1]


def forget_emulated_work() -> None:
    """Forget what launches that failed or were dropped have left for the next."""
    for kernels in _loaded:
        kernels.forget_emulated_work()


def check_status() -> None:
    """Raise ValueError for the first bad data that a kernel of a loaded backend has noted."""
    for kernels in _loaded:
        kernels.check_status()
