"""The Hopper kernels in the builds that look closer: every instance of the pipeline in every order of threads."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from kernels import closer_builds
from kernels.closer_builds import Planted, told

pytestmark = pytest.mark.slow

# Orders of threads and blocks. Both kinds of values take the same way, so all orders but one have one of them.
ORDERS = {"forward": "integers,normal", "reverse": "normal", "random:7": "normal"}


def pipelines(done, what):
    """Those that are there, or that were launched."""
    return set(re.findall(rf"^{what}: .*\[with Problem = (.*)\]$", done.stderr, re.MULTILINE))


@pytest.fixture(scope="module")
def runs():
    """What each run said. A run has one thread, so as many go at a time as there are CPUs."""
    modules = {build: closer_builds.module(build) for build in closer_builds.BUILDS}

    def run(build, order):
        variables = {"ALEXNET_EMULATOR_SCHEDULE": order, "TELL_PIPELINES": "1"}
        return closer_builds.run(build, modules[build], "hopper", ORDERS[order], **variables)

    chosen = [(build, order) for build in closer_builds.BUILDS for order in ORDERS]
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        return dict(zip(chosen, pool.map(lambda names: run(*names), chosen), strict=True))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("build", closer_builds.BUILDS)
def test_every_pipeline(build, order, runs):
    done = runs[build, order]
    assert done.returncode == 0, told(done)
    there, launched = (pipelines(done, what) for what in ("there is", "launched"))
    assert there and there - launched == set(), "an instance without a case in hopper_cases.py"


# ---- that these runs can fail. All in one kernel, whose consumers take turns and which is compiled soonest.

UPDATE = "gemm/hopper/gemm_sgd.cu"
NO_FENCE = Planted("gemm/hopper/results.h", r"simt::fence_proxy_async\(\);", "", UPDATE)
NO_TURN = Planted("common/hopper/pipeline.h", r"simt::mbarrier_arrive\(shared\.turn\[[^;]*;", "{}", UPDATE)


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        (NO_FENCE, r"missing fence_proxy_async: the tma_store .* \(results\.h:\d+\) .* \(epilogue\.h:\d+\) wrote"),
        (NO_TURN, r"(?s)deadlock: .*threads 256-383 wait at pipeline\.h:\d+ .* lacks 128 of 128 arrivals"),
    ],
    ids=["no fence before a store by the copy engine", "no word that it is the other consumer's turn"],
)
def test_a_bug_is_reported(planted, says):
    done = closer_builds.run("race", closer_builds.module("race", planted), "hopper", "normal", "update of")
    assert done.returncode != 0
    assert re.search(says, done.stdout + done.stderr), told(done)
