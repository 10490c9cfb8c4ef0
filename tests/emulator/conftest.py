"""Compiles what the tests of this folder run, once and side by side."""

import building
import pytest

SOURCES = [
    "primitives.cu", "hopper_primitives.cu", "behaviour.cpp", "bugs_in_blocks.cpp", "bugs_in_memory.cpp",
    "bugs_in_copies.cpp", "bugs_in_matrices.cpp", "bugs_in_pipelines.cpp",
]  # fmt: skip


@pytest.fixture(scope="package")
def programs():
    building.build_together([(source, build) for build in building.BUILDS for source in SOURCES])
