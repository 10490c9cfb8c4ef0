"""AlexNet of 2012, from scratch: hand-written kernels, their NumPy twins, and a thin layer graph."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # type checkers take it for typing's, whose import takes as long as the rest of Python's start
if TYPE_CHECKING:
    from typing import Any

    from . import ops
    from .checks import check
    from .errors import DeviceError

__version__ = "0.1.0"
__all__ = ["DeviceError", "check", "ops"]
_HOMES = {"DeviceError": ".errors", "check": ".checks"}


def __getattr__(name: str) -> Any:
    """What the package offers, imported when it is asked for.

    Python runs this file before the command's own first line; if NumPy were imported here, Ctrl-C meanwhile would end
    in a traceback that nothing can prevent.
    """
    if name == "ops":
        return importlib.import_module(".ops", __name__)
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
