"""AlexNet of 2012, from scratch: hand-written kernels, their NumPy twins, and a thin layer graph."""

from . import ops
from .checks import check
from .errors import DeviceError

__version__ = "0.1.0"
__all__ = ["DeviceError", "check", "ops"]
