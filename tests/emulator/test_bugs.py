"""Planted bugs: each must be found where the emulator promises it, and the same kernel without it must pass.

A bug's lines end in a comment `// <- name`; a report must name the file and these lines. Where several bugs share
lines, these have names of their own.
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
    bug's lines. Other builds in `wrong` must give a wrong result in some schedule; in the rest nothing is promised.
    `marks`: names of its lines in `source`, if not its own in the program."""

    program: str
    report: dict[str, str]
    lines: int = 1
    wrong: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    source: str = ""


def in_all(text: str) -> dict[str, str]:
    return dict.fromkeys(BUILDS, text)


BLOCKS, MEMORY = "bugs_in_blocks.cpp", "bugs_in_memory.cpp"
COPIES, MATRICES, PIPELINES = "bugs_in_copies.cpp", "bugs_in_matrices.cpp", "bugs_in_pipelines.cpp"
PROGRAMS = (BLOCKS, MEMORY, COPIES, MATRICES, PIPELINES)


def in_pipeline(report: dict[str, str], *marks: str, wrong: tuple[str, ...] = ()) -> Bug:
    return Bug(PIPELINES, report, len(marks), wrong, marks, "pipelined_gemm.h")


PLAIN, ASAN, BOTH, ALL = ("plain",), ("asan",), ("plain", "asan"), ("plain", "asan", "race")
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
    "uninitialised_mbarrier": Bug(COPIES, in_all("the mbarrier at byte 2048 of .* was not initialised")),
    "mbarrier_initialised_twice": Bug(COPIES, in_all("is initialised already")),
    "overwritten_mbarrier": Bug(COPIES, in_all("was overwritten by an ordinary write")),
    "too_many_arrivals": Bug(COPIES, in_all("more arrivals than the count of 1 in phase 0")),
    "parity_above_one": Bug(COPIES, in_all("parity 2, wanted 0 or 1"), marks=("wait",)),
    "load_without_bytes": Bug(
        COPIES, in_all("deadlock.* mbarrier at .* phase 0 .* lacks 0 of 1 arrivals and 2048 bytes"), marks=("wait",)
    ),
    "load_not_waited_for": Bug(COPIES, in_all("tma_load at .* was not waited for"), marks=("load",)),
    "unaligned_tile": Bug(COPIES, in_all("byte 64 of dynamic shared memory, is no multiple of 128")),
    "wrong_number_of_coordinates": Bug(COPIES, in_all("3 coordinates for a tensor map of 2 dimensions")),
    "box_leaves_shared_memory": Bug(COPIES, in_all("the box of 2048 bytes at .* reaches past its end")),
    "read_before_the_load_is_done": Bug(
        COPIES, {"race": "uninitialised shared memory|race: .*no wait"}, marks=("read_too_early",), wrong=BOTH
    ),
    "load_over_unread_values": Bug(
        COPIES, {"race": "race: .*no wait"}, lines=2, marks=("load", "load_over_unread_values")
    ),
    "map_larger_than_its_memory": Bug(COPIES, in_all("the box that begins at {0, 0} reaches outside"), marks=("load",)),
    "map_of_another_device": Bug(COPIES, in_all("argument 1 points to .* of emulated:1, and .* on emulated:0")),
    "map_of_memory_that_no_device_owns": Bug(COPIES, in_all("touches memory that no device owns"), marks=("load",)),
    "swizzled_tile_unaligned": Bug(COPIES, in_all("no multiple of 1024, after which the swizzle repeats")),
    "store_not_waited_for": Bug(COPIES, in_all("ended without waiting for the tma_store"), marks=("store",)),
    "store_read_back_too_early": Bug(
        COPIES, {"race": "race: .*no wait"}, lines=2, marks=("store", "store_read_back_too_early"), wrong=BOTH
    ),
    "store_not_committed": Bug(COPIES, in_all(r"ended .*tma_store.* tma_store_commit\(\)"), marks=("store",)),
    "cp_async_not_waited_for": Bug(COPIES, {}, wrong=BOTH),
    "operands_differ": Bug(MATRICES, in_all("warpgroup 0 diverges: thread"), marks=("multiply",)),
    "three_warps": Bug(
        MATRICES, in_all("deadlock.* wgmma at .*, which 96 of 128 threads of warpgroup 0"), marks=("wait", "multiply")
    ),
    "descriptor_between_patterns": Bug(
        MATRICES, in_all("descriptor of A: the start is 128 bytes"), marks=("multiply",)
    ),
    "stride_within_pattern": Bug(MATRICES, in_all("stride 512 bytes, and 8 rows take 1024"), marks=("multiply",)),
    "operand_leaves_shared_memory": Bug(MATRICES, in_all("not inside a shared object"), marks=("multiply",)),
    "accumulators_not_named": Bug(MATRICES, {"race": "accumulator in flight: .* reads"}, wrong=BOTH),
    "accumulators_written_in_flight": Bug(
        MATRICES,
        {"race": "accumulator in flight: .* writes", **dict.fromkeys(BOTH, "was written before the wgmma_wait")},
        marks=("accumulators_written_in_flight", "multiply"),
    ),
    "fence_missing_after_writing_accumulators": Bug(MATRICES, in_all(r"wgmma_fence\(\) is missing"), marks=("second",)),
    "registers_of_a_changed": Bug(
        MATRICES, in_all("registers of A .* changed"), lines=2, marks=("second", "last_wait")
    ),
    "operands_overwritten_before_wait": Bug(
        MATRICES, {"race": "race: .*no wait"}, lines=2, marks=("fill", "multiply"), wrong=BOTH
    ),
    "operands_without_proxy_fence": Bug(
        MATRICES, {"race": "missing fence_proxy_async"}, lines=2, marks=("fill", "multiply")
    ),
    "no_whole_warpgroup": Bug(MATRICES, in_all("belongs to no whole warpgroup")),
    "too_many_registers": Bug(
        MATRICES, in_all("deadlock.* setmaxnreg_inc<240>: 168 registers a thread now, 7168 free")
    ),
    "registers_the_wrong_way": Bug(MATRICES, in_all("setmaxnreg_dec<232> .* has 168 registers")),
    "unaligned_matrix_row": Bug(MATRICES, in_all("the row of lane 0, byte 8 of tile, is no multiple of 16")),
    "stmatrix_does_not_order": Bug(MATRICES, {"race": "race: .*no barrier lies between"}, lines=2),
    "full_parity": in_pipeline(in_all("uninitialised|race: |more arrivals|deadlock")),
    "empty_parity": in_pipeline(in_all("deadlock.* lacks 8 of 8 arrivals and 0 bytes"), "wait_for_empty"),
    "swizzle": in_pipeline({"race": "race: .*no wait"}, "multiply", wrong=BOTH),
    "leading": in_pipeline({}, wrong=ALL),
    "no_proxy_fence": in_pipeline({"race": "missing fence_proxy_async"}, "write", "store"),
    "no_wait_for_copies": in_pipeline({"race": "uninitialised|race: "}, "multiply", wrong=()),
    "early_release": in_pipeline({"race": "race: .*no wait"}, "multiply", "load", wrong=BOTH),
    "too_few_bytes": in_pipeline(in_all("brought 128 bytes more than .* announced"), "load"),
    "no_init_fence": in_pipeline(in_all(r"fence_mbarrier_init\(\) is missing"), "wait_for_empty"),
    "no_epilogue_barrier": in_pipeline({"race": "race: |uninitialised"}, "store", wrong=BOTH),
    "no_store_wait": in_pipeline(
        {"race": "race: .*no wait", **dict.fromkeys(BOTH, "its source, .* changed before")}, "store"
    ),
    "no_store_wait_at_the_end": in_pipeline(in_all("ended without waiting for the tma_store"), "store"),
    "too_few_arrivals": in_pipeline(in_all("more arrivals|deadlock|race: ")),
    "read_before_wgmma_wait": in_pipeline({"race": "accumulator in flight"}, "read", "multiply", wrong=BOTH),
    "no_wgmma_fence": in_pipeline(in_all(r"wgmma_fence\(\) is missing"), "multiply"),
    "no_commit": in_pipeline(in_all("no wgmma_wait has named|race: "), "multiply"),
}


def run(program: str, build: str, schedule: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ALEXNET_EMULATOR_SCHEDULE": schedule, "ALEXNET_THREADS": "2"}
    # A program that stops at a report has not cleaned up.
    environment["ASAN_OPTIONS"] = "detect_leaks=0" if "bug" in arguments else ""
    executable = building.program(program, build)
    return subprocess.run([executable, *arguments], capture_output=True, text=True, env=environment, timeout=60)


def lines_of(name: str) -> list[str]:
    """As reports give them: file and line."""
    bug = BUGS[name]
    source = bug.source or bug.program
    lines = (building.HERE / source).read_text().splitlines()
    wanted = set(bug.marks or (name,))
    marked = [number for number, line in enumerate(lines, 1) if wanted & {*(line + "// <-").split("// <-")[1].split()}]
    return [f"{source}:{number}" for number in marked]


def test_every_planted_bug_is_in_the_table():
    listed = {name for program in PROGRAMS for name in run(program, "plain", "forward", "list").stdout.split()}
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
            named = {line for line in marked if re.search(line + r"\b", text)}
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
@pytest.mark.parametrize("program", PROGRAMS)
def test_without_its_bug_every_kernel_passes(program, build, schedule):
    outcome = run(program, build, schedule, "all", "fixed")
    results = outcome.stdout.splitlines()
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert outcome.stderr == ""
    assert len(results) == sum(bug.program == program for bug in BUGS.values())
    assert all(result.endswith(": right") for result in results), results


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_correct_kernels_pass_in_many_random_orders(program, build):
    for seed in range(2, 8 if program == PIPELINES else 42):  # a pipeline takes ten times as long
        outcome = run(program, build, f"random:{seed}", "all", "fixed")
        assert outcome.returncode == 0, f"random:{seed}\n{outcome.stdout}{outcome.stderr}"
