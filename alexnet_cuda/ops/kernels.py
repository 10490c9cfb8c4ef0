"""The operations on compiled kernels: `emulated` runs them on NumPy arrays, `cuda` on CuPy arrays.

Both are the same C++ sources through the same bindings; they differ in the module loaded here and in whose memory
the pointers point at. The calls themselves are in `_kernels/`, one file for each family of operations.
"""

from .. import config
from ..errors import DeviceError
from ._kernels.dropout import Dropout
from ._kernels.lrn import Lrn
from ._kernels.pointwise import Pointwise
from ._kernels.pool import Pool
from ._kernels.sgd import Sgd


class Kernels(Pointwise, Lrn, Dropout, Pool, Sgd):
    """Calls into one extension module. An operation without a method here has no kernel yet."""


def load(name: str) -> Kernels:
    """The compiled backend "emulated" or "cuda". Raises DeviceError with the reason when it cannot be used."""
    if name == "cuda" and (problem := config.cuda_problem()):
        raise DeviceError(problem)
    module, problem = config.load(f"_{name}")
    if module is None:
        raise DeviceError(f"the backend '{name}' is not there: {problem}")
    return Kernels(module, name)
