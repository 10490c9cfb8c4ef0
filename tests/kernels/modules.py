"""The compiled modules that are here, for what only they have: choose_* and kernels without an operation."""

import pytest

from alexnet_cuda import config

MODULES = [
    pytest.param(module, id=name)
    for name in ("_emulated", "_cuda")
    for module in [config.load(name)[0]]
    if module is not None
]
