"""What this installation can do, and for what it cannot, the reason and the fix.

`show` is what `alexnet-cuda info` prints; `cuda_problem` is what the backend "cuda" asks before it starts.
Imports neither CuPy nor any part of this package but the compiled modules, and those only when asked.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

CUPY_DISTRIBUTIONS = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
REBUILD = "fix: in the source folder, pip install ."


def show() -> str:
    """The installation as text, one fact a line."""
    lines = [
        ("alexnet_cuda", f"{version('alexnet-cuda')} in {Path(__file__).parent}"),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("NumPy", version("numpy")),
        ("ml_dtypes", version("ml_dtypes")),
        ("CuPy", cupy_version() or "not installed"),
        *((f"module {name}", module_state(name)) for name in ("_emulated", "_cuda")),
        ("CUDA devices", device_state()),
        ("backend cuda", problem if (problem := cuda_problem()) else "can be used"),
    ]
    width = max(len(label) for label, _ in lines)
    return "\n".join(f"{label:{width}}  {text}" for label, text in lines)


def cuda_problem() -> str | None:
    """Why the backend "cuda" cannot be used here, with the fix, in one line; None when it can."""
    module, problem = load("_cuda")
    if module is None:
        return f"the CUDA kernels are not there: {problem}"
    if importlib.util.find_spec("cupy") is None:
        _, runtime, _, _ = module.device_status()
        return f"CuPy is not installed; fix: pip install cupy-cuda{runtime // 1000}x"  # for the same drivers as ours
    return device_problem(module)


def device_problem(cuda_module: Any) -> str | None:
    """The same for driver and devices alone."""
    driver, runtime, devices, error = cuda_module.device_status()
    if driver == 0:
        return "this machine has no NVIDIA driver; fix: install one, or use the backends 'cpu' or 'emulated'"
    if error is not None and driver < runtime:
        return (
            f"the NVIDIA driver is for CUDA {cuda_version(driver)}, the kernels need {cuda_version(runtime)}"
            "; fix: install a newer driver"
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if devices == 0 and visible is not None and (error is None or "no CUDA-capable device" in error):
        return f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU; fix: unset CUDA_VISIBLE_DEVICES"
    if devices == 0:
        aside = "" if visible is None else f", with CUDA_VISIBLE_DEVICES={visible!r}"
        return f"no GPU was found ({error or 'the driver lists none'}{aside}); fix: see what nvidia-smi reports"
    return None


def module_state(name: str) -> str:
    module, problem = load(name)
    if module is None:
        return problem
    info = module.build_info()
    if info["kind"] == "emulated":
        return f"built by {info['compiler']}"
    return f"built by {info['compiler']}, CUDA {info['cuda']}, for {', '.join(info['architectures'])}"


def device_state() -> str:
    module, _ = load("_cuda")
    if module is None:
        return "unknown: the module _cuda is what asks the driver"
    problem = device_problem(module)
    if problem:
        return problem
    driver, runtime, devices, _ = module.device_status()
    return f"{devices}, driver for CUDA {cuda_version(driver)}, runtime {cuda_version(runtime)}"


def load(name: str) -> tuple[Any, str]:
    """A compiled module, or None and why it is not there."""
    if importlib.util.find_spec(f"{__package__}.{name}") is not None:
        try:
            return importlib.import_module(f"{__package__}.{name}"), ""
        except ImportError as error:
            return None, f"it does not load ({error}); {REBUILD}"
    if name == "_cuda":
        # The module that every build has remembers why this one does not.
        emulated, problem = load("_emulated")
        return None, emulated.build_info()["why_no_cuda"] if emulated else problem
    return None, f"the package is not compiled; {REBUILD}"


def version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def cupy_version() -> str | None:
    for distribution in CUPY_DISTRIBUTIONS:
        try:
            return f"{metadata.version(distribution)} ({distribution})"
        except metadata.PackageNotFoundError:
            continue
    return None


def cuda_version(number: int) -> str:
    """13020 -> '13.2', as the CUDA headers count."""
    return f"{number // 1000}.{number % 1000 // 10}"
