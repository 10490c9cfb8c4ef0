"""What nvcc made of every kernel: nothing spilled, and registers and shared memory within a declared budget.

Looks into the built extension `_cuda`; needs no GPU. `pytest -s tests/kernels/test_compile_budget.py` prints the table.
"""

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import machine_code
import pytest
from machine_code import Usage

KERNELS = Path(__file__).resolve().parents[2] / "csrc" / "kernels"


@dataclass(frozen=True)
class Budget:
    kernel: str  # the first budget whose pattern fits a kernel's name is its own
    registers: int  # of a thread; a multiprocessor has 65536
    shared: int  # bytes, static; test_hopper_code.py has what pipelines ask for when they are launched
    why: str
    stack: int = 0  # bytes of a thread, for registers that were spilled


BUDGETS = (
    Budget(r"gemm_kernel<.*\(Read\)2, .*\(Read\)2, ", 168, 20_000, "any matrix: one block of 256 threads at once"),
    Budget(r"gemm_kernel<Tile<4, 2,", 128, 20_000, "2 blocks of 256 threads at once"),
    Budget(r"gemm_kernel<Tile<4, 1,", 128, 12_000, "4 blocks of 128 threads at once"),
    Budget(r"conv_wgrad_kernel<Tile<4, 2, 8, 8, 2>, float, 4>", 128, 20_000, "as below; on Turing, 16 bytes", stack=16),
    Budget(r"conv_\w+_kernel<Tile<4, 2, 8, 8, 2>, float, 4>", 128, 20_000, "2 blocks of 256 threads at once"),
    Budget(r"conv_\w+_kernel<.*, 4>", 170, 24_000, "384 threads at once, in blocks of 192, 128 or 64"),
    Budget(r"conv_\w+_kernel<.*, 1>", 255, 24_000, "the general path: single elements, 256 threads at once"),
    Budget(r"lrn_(forward|backward)_kernel<\w+, 4", 128, 0, "a ring of four images in registers"),
    Budget(r"pipeline_kernel<", 255, 0, "one block at once: its launch bounds are the limit"),
    Budget(r"lrn_within_\w+_kernel", 64, 9_000, "1024 threads at once"),
    Budget(r".*", 64, 4_096, "1024 threads at once"),
)

needs_module = pytest.mark.skipif(machine_code.why_not() != "", reason=machine_code.why_not())


def budget_of(usage: Usage) -> Budget:
    return next(budget for budget in BUDGETS if re.match(budget.kernel, usage.kernel))


def fits(usage: Usage) -> bool:
    budget = budget_of(usage)
    return (
        usage.registers <= budget.registers and usage.shared <= budget.shared and usage.stack <= budget.stack
    )  # fmt: skip


def line(usage: Usage) -> str:
    budget = budget_of(usage)
    return (
        f"sm_{usage.architecture:<3} {usage.registers:3} of {budget.registers:3} registers, "
        f"{usage.shared:5} of {budget.shared:5} static bytes, {usage.stack:2} of {budget.stack:2} on the stack  "
        f"{usage.kernel}"
    )


@needs_module
def test_kernels_stay_within_their_budget():
    for usage in machine_code.usages():
        print(line(usage), file=sys.stdout)
    assert [line(usage) for usage in machine_code.usages() if not fits(usage)] == []


@needs_module
def test_every_kernel_is_looked_at():
    written = set()
    for path in KERNELS.rglob("*"):
        if path.suffix in {".cu", ".h"}:
            written |= set(
                re.findall(
                    r"__global__ void\s+(?:__launch_bounds__\([^()]*(?:\([^()]*\)[^()]*)*\)\s+)?(\w+)\(",
                    path.read_text(),
                )
            )
    assert written
    seen = {re.match(r"(?:\w+::)*(\w+)", usage.kernel)[1] for usage in machine_code.usages()}
    assert written - seen == set()


REPORT = """\
arch = sm_80
identifier = sum.cu

Resource usage:
 Common:
  GLOBAL:0
 Function void alexnet::(anonymous namespace)::sum_partials_kernel<float>(float const*, int (*)(float), float*):
  REG:65 STACK:16 SHARED:5000 LOCAL:0 CONSTANT[0]:416 TEXTURE:0 SURFACE:0 SAMPLER:0
"""


def test_what_exceeds_a_budget_is_seen():
    (usage,) = machine_code.parsed_usages(REPORT)
    assert usage == Usage("sum_partials_kernel<float>", "80", registers=65, shared=5000, stack=16)
    assert not fits(usage)
    fitting = replace(usage, registers=64, shared=0, stack=0)
    assert fits(fitting)
    for name, excess in (("registers", 65), ("shared", 4097), ("stack", 4)):
        assert not fits(replace(fitting, **{name: excess})), name
