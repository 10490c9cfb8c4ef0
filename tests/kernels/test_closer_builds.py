"""The kernels in the builds that look closer, through Python: small cases of every operation, and planted bugs.

The first run after a change compiles what changed, on one core about two minutes if that is all of it.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from kernels import closer_builds
from kernels.closer_builds import Planted, told

from alexnet_cuda.checks import OPERATIONS

pytestmark = pytest.mark.slow

# On compute capability 8.0, where all operations have general kernels; test_closer_hopper.py runs those for Hopper.
DTYPES = ("float32", "bfloat16")


@pytest.fixture(scope="module")
def runs():
    """What each run of the cases said. A run has one thread, so as many go at a time as there are CPUs."""
    modules = {build: closer_builds.module(build) for build in closer_builds.BUILDS}

    def run(build, dtype):
        return closer_builds.run(build, modules[build], "cases", dtype, ALEXNET_EMULATOR_CAPABILITY="80")

    chosen = [(build, dtype) for build in closer_builds.BUILDS for dtype in DTYPES]
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        return dict(zip(chosen, pool.map(lambda names: run(*names), chosen), strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("build", closer_builds.BUILDS)
def test_small_cases_of_every_operation(build, dtype, runs):
    done = runs[build, dtype]
    assert done.returncode == 0, told(done)
    assert {line.split(",")[0] for line in done.stdout.splitlines() if "," in line} == set(OPERATIONS)


def test_convolutions_have_a_case_for_every_tile():
    done = closer_builds.run("race", closer_builds.module("race"), "launches")
    for operation in ("conv2d", "conv2d_dgrad", "conv2d_wgrad"):
        for rows in (32, 64, 96, 128):
            wanted = rf"^{operation}: \d+ tiles of {rows}x128, .* reads of 16 bytes$"
            assert re.search(wanted, done.stdout, re.MULTILINE), told(done)
    assert re.search(r"^conv2d_wgrad: 1 tiles of .* sums in \d+ parts", done.stdout, re.MULTILINE), told(done)


# ---- that these runs can fail

NO_BARRIER = Planted("augment/augment.cu", r"__syncthreads\(\);", "")
ONE_TOO_FAR = Planted("relu/relu.cu", r"\bi < count\b", "i <= count")


def test_a_missing_barrier_is_reported():
    done = closer_builds.run("race", closer_builds.module("race", NO_BARRIER), "cases", "float32", "augment")
    assert done.returncode == 1
    line = r"\(augment\.cu:\d+\)"
    assert re.search(rf"race: thread .* {line} reads .* thread .* {line} wrote; no barrier lies between", done.stdout)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        ("race", r"out of bounds: thread .* \(relu\.cu:\d+\) reads 0 bytes past the end of the float32 array"),
        ("asan", r"(?s)ERROR: AddressSanitizer: use-after-poison.*relu\.cu"),
    ],
    ids=["race", "asan"],
)
def test_an_element_too_many_is_reported(build, says):
    done = closer_builds.run(build, closer_builds.module(build, ONE_TOO_FAR), "cases", "float32", "relu")
    assert done.returncode != 0
    assert re.search(says, done.stdout + done.stderr), told(done)


def test_a_missing_wait_between_two_devices_is_reported_with_both_sides():
    """Each in turn, in one order of the streams; with all of them nothing is."""
    done = closer_builds.run("race", closer_builds.module("race"), "towers")
    assert done.returncode == 0, told(done)
    assert len(re.findall("without the wait of .*: race: .*no event or synchronisation puts", done.stdout)) >= 4, told(
        done
    )
