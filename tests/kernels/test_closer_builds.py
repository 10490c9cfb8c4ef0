"""The kernels in the builds that look closer, through Python: small cases of every operation, and planted bugs.

The first run after a change compiles what changed, on one core about two minutes if that is all of it.
"""

import re

import pytest
from kernels import closer_builds
from kernels.closer_builds import Planted

from alexnet_cuda.checks import OPERATIONS

pytestmark = pytest.mark.slow

DTYPES = ("float32",)


def told(done):
    """What a run printed at its end."""
    return (done.stdout[-3000:] + done.stderr[-6000:]).strip()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("build", closer_builds.BUILDS)
def test_small_cases_of_every_operation(build, dtype):
    done = closer_builds.run(build, closer_builds.module(build), "cases", dtype)
    assert done.returncode == 0, told(done)
    assert {line.split(",")[0] for line in done.stdout.splitlines() if "," in line} == set(OPERATIONS)


def test_convolutions_use_every_tile():
    """In these builds the number of filters decides: closer_builds.py says why."""
    code = (
        "import closer_run, sys\n"
        "module = closer_run.use_module(sys.argv[1])\n"
        "for c in closer_run.tile_cases():\n"
        "    for choose in (module.choose_conv_fprop, module.choose_conv_dgrad, module.choose_conv_wgrad):\n"
        "        print(choose(c.x, c.w, c.y, (1, 1), (1, 1), 1, True))\n"
    )
    chosen = closer_builds.run_code("race", closer_builds.module("race"), code).stdout.splitlines()
    assert len(chosen) == 12
    for line, rows in zip(chosen, [rows for rows in (32, 64, 96, 128) for _ in range(3)], strict=True):
        assert f"tiles of {rows}x128" in line


# ---- that these runs can fail

NO_BARRIER = Planted("barrier", "augment/augment.cu", r"__syncthreads\(\);", "")
ONE_TOO_FAR = Planted("end", "relu/relu.cu", r"\bi < count\b", "i <= count")


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
