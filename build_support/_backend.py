"""The build backend: setuptools', which also checks the compilers first and brings nvcc as wheels when asked.

pip calls get_requires_* before anything else, so that is where a missing compiler is reported; without build
isolation it begins with prepare_metadata_*.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import toolchain
from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (the hooks that need nothing special)
    build_editable,
    build_sdist,
    get_requires_for_build_sdist,
)

HERE = Path(__file__).parent


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return [*_requirements(), *build_meta.get_requires_for_build_wheel(config_settings)]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    return [*_requirements(), *build_meta.get_requires_for_build_editable(config_settings)]


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Any = None) -> str:
    _checked_mode()
    return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Any = None) -> str:
    _checked_mode()
    return build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings)


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    # setuptools packs whatever lies in build/lib*, modules that have since been renamed or deleted included.
    for leftover in Path("build").glob("lib*"):
        shutil.rmtree(leftover)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def _checked_mode() -> str:
    """ALEXNET_CUDA, once compilers and settings are known to be in order."""
    try:
        toolchain.check_cxx()
        toolchain.cuda_architectures()
        return toolchain.cuda_mode()
    except toolchain.BuildError as problem:
        # SystemExit, because pip prints its text alone and an exception's with a traceback.
        raise SystemExit(f"alexnet_cuda: {problem}") from None


def _requirements() -> list[str]:
    mode = _checked_mode()
    lines = (HERE / "requirements.txt").read_text().splitlines()
    requirements = [line for line in lines if line and not line.startswith("#")]
    # An nvcc that the user chose is used or reported, never replaced.
    if mode == "ON" and not toolchain.chosen_nvcc() and not toolchain.find_nvcc().path:
        requirements.append(toolchain.CUDA_WHEELS)
    return requirements
