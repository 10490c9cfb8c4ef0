"""Planted bugs: each must be found where the emulator promises it, and the same kernel without it must pass.

A bug's lines end in a comment `// <- name`; a report must name the file and these lines.
"""

import os
import re
import subprocess
from dataclasses import dataclass

import building
import pytest

pytestmark = pytest.mark.usefixtures("programs")

SCHEDULES = ["forward", "reverse", "random:1"]
BUILDS = ["plain", "asan", "race"]


@dataclass(frozen=True)
class Bug:
    """What finds a bug. `report`: builds whose report, in every schedule, matches `text` and names `lines` of the
    bug's lines. Other builds in `wrong` must give a wrong result in some schedule; in the rest nothing is promised."""

    program: str
    report: dict[str, str]
    lines: int = 1
    wrong: tuple[str, ...] = ()


def in_all(text: str) -> dict[str, str]:
    return dict.fromkeys(BUILDS, text)


BLOCKS, MEMORY = "bugs_in_blocks.cpp", "bugs_in_memory.cpp"
PLAIN, ASAN, BOTH = ("plain",), ("asan",), ("plain", "asan")
POISON = "AddressSanitizer: use-after-poison"

BUGS = {
    "missing_barrier": Bug(BLOCKS, {"race": "race: .*no barrier lies between"}, lines=2, wrong=BOTH),
    "missing_barrier_before_overwrite": Bug(BLOCKS, {"race": "race: .*no barrier"}, lines=2, wrong=BOTH),
    "missing_syncwarp": Bug(BLOCKS, {"race": "race: .*no barrier lies between"}, lines=2, wrong=BOTH),
    "divergent_barrier": Bug(BLOCKS, in_all("divergent __syncthreads: threads"), lines=2),
    "skipped_barrier": Bug(BLOCKS, in_all("deadlock.*threads 0-49 wait .* 50 of 64 .*threads 50-63 have ended")),
    "named_barrier_deadlock": Bug(BLOCKS, in_all("deadlock.*threads 0-63 wait .* barrier 1: 64 of 96 threads")),
    "named_barrier_counts_differ": Bug(BLOCKS, in_all("barrier 2: .* threads were announced"), lines=2),
    "arrives_twice": Bug(BLOCKS, in_all("barrier 1 .* arrives twice")),
    "shuffle_from_ended_lane": Bug(BLOCKS, in_all("__shfl_down_sync .* ended")),
    "shuffle_from_inactive_lane": Bug(BLOCKS, in_all("lane 0 reads lane 16, which is not in the mask 0x0000ffff")),
    "lanes_in_different_operations": Bug(BLOCKS, in_all("All lanes of a mask must call the same operation"), lines=2),
    "two_blocks_one_element": Bug(BLOCKS, {"race": "race: .*blocks run in any order"}, wrong=BOTH),
    "two_blocks_one_element_of_the_host": Bug(BLOCKS, {"race": "race: .*blocks run in any order"}, wrong=BOTH),
    "plain_and_atomic_updates": Bug(BLOCKS, {"race": "race: "}),
    "block_waits_for_block": Bug(BLOCKS, in_all("livelock: thread 0 polls")),
    "shared_write_out_of_bounds": Bug(
        MEMORY, {"race": "shared memory out of bounds: .* writes 0 bytes past the end of tile", "asan": POISON}
    ),
    "shared_read_out_of_bounds": Bug(
        MEMORY,
        {"race": "shared memory out of bounds: .* reads 0 bytes past the end of tile", "asan": POISON},
        wrong=PLAIN,
    ),
    "too_little_dynamic_shared": Bug(MEMORY, in_all("'tiles' .* takes 512 bytes, the launch gave 256")),
    "uninitialised_shared_read": Bug(
        MEMORY, {"race": "uninitialised shared memory: .* reads byte 28 of tile"}, wrong=BOTH
    ),
    "global_write_out_of_bounds": Bug(MEMORY, {"race": "out of bounds: .* writes 0 bytes past", "asan": POISON}),
    "global_read_out_of_bounds": Bug(
        MEMORY, {"race": "out of bounds: .* reads 0 bytes past", "asan": POISON}, wrong=PLAIN
    ),
    "uninitialised_global_read": Bug(MEMORY, {"race": "uninitialised memory: "}, wrong=BOTH),
    "misaligned_float4": Bug(MEMORY, {"asan": "misaligned address"}),
    "missing_event_wait": Bug(MEMORY, {"race": "race: .*no event or synchronisation"}, lines=2, wrong=BOTH),
    "event_recorded_too_early": Bug(MEMORY, {"race": "race: .*no event or synchronisation"}, lines=2, wrong=BOTH),
    "host_reads_before_synchronising": Bug(
        MEMORY, {"race": "race: .*no event or synchronisation"}, lines=2, wrong=BOTH
    ),
    "freed_before_the_stream_ran": Bug(MEMORY, in_all("argument 1 points to .* freed before the kernel ran")),
    "wrong_device_pointer": Bug(MEMORY, in_all("argument 1 points to .* of emulated:1, and .* on emulated:0")),
    "wrong_device_pointer_in_memory": Bug(MEMORY, {"race": "wrong device: .* emulated:1, and .* on emulated:0"}),
    "unregistered_memory": Bug(MEMORY, in_all("argument 2 points to memory that no device owns")),
}


def run(program: str, build: str, schedule: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ALEXNET_EMULATOR_SCHEDULE": schedule, "ALEXNET_THREADS": "2"}
    # A program that stops at a report has not cleaned up.
    environment["ASAN_OPTIONS"] = "detect_leaks=0" if "bug" in arguments else ""
    executable = building.program(program, build)
    return subprocess.run([executable, *arguments], capture_output=True, text=True, env=environment, timeout=60)


def lines_of(bug: str) -> list[int]:
    text = (building.HERE / BUGS[bug].program).read_text()
    lines = text.splitlines()
    return [number for number, line in enumerate(lines, 1) if bug in re.split(r"// <-", line + "// <-")[1].split()]


def test_every_planted_bug_is_in_the_table():
    listed = {name for program in (BLOCKS, MEMORY) for name in run(program, "plain", "forward", "list").stdout.split()}
    assert listed == BUGS.keys()


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found(name, build):
    bug = BUGS[name]
    outcomes = [run(bug.program, build, schedule, name, "bug") for schedule in SCHEDULES]
    if build in bug.report:
        marked = lines_of(name)
        assert len(marked) >= bug.lines, "mark the lines of the bug with // <- name"
        for outcome in outcomes:
            text = outcome.stdout + outcome.stderr
            assert re.search(bug.report[build], text, re.DOTALL), text
            named = {line for line in marked if f"{bug.program}:{line}" in text}
            assert len(named) >= bug.lines, text
    elif build in bug.wrong:
        assert any(f"{name}: wrong" in outcome.stdout for outcome in outcomes), outcomes


@pytest.mark.parametrize("name", ["shared_write_out_of_bounds", "global_write_out_of_bounds"])
def test_the_plain_build_finds_writes_beside_an_array_after_the_fact(name):
    text = run(MEMORY, "plain", "forward", name, "bug").stdout
    assert "wrote past the end of" in text
    assert re.search(r"launched at bugs_in_memory.cpp:\d+", text), text


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("program", [BLOCKS, MEMORY])
def test_without_its_bug_every_kernel_passes(program, build, schedule):
    outcome = run(program, build, schedule, "all", "fixed")
    results = outcome.stdout.splitlines()
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert outcome.stderr == ""
    assert len(results) == sum(bug.program == program for bug in BUGS.values())
    assert all(result.endswith(": right") for result in results), results


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("program", [BLOCKS, MEMORY])
def test_correct_kernels_pass_in_many_random_orders(program, build):
    for seed in range(2, 42):
        outcome = run(program, build, f"random:{seed}", "all", "fixed")
        assert outcome.returncode == 0, f"random:{seed}\n{outcome.stdout}{outcome.stderr}"
