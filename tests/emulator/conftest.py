"""Compiles what the tests of this folder run, once and side by side."""

import fcntl

import building
import pytest

SOURCES = [
    "primitives.cu", "hopper_primitives.cu", "behaviour.cpp", "bugs_in_blocks.cpp", "bugs_in_memory.cpp",
    "bugs_in_copies.cpp", "bugs_in_matrices.cpp", "bugs_in_pipelines.cpp",
]  # fmt: skip


@pytest.fixture(scope="package")
def programs():
    building.WORK.mkdir(parents=True, exist_ok=True)
    with (building.WORK / "lock").open("w") as lock:  # another process of pytest may have begun with it
        fcntl.flock(lock, fcntl.LOCK_EX)
        building.build_together([(source, build) for build in building.BUILDS for source in SOURCES])
