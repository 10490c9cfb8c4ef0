"""What the tests of the filter gradient on Hopper call it with, and how they judge it."""

import re
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from kernels.hopper import EMULATOR, bf16_bound, emulated, guarded, guarded_output

from alexnet_cuda import ops
from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.table import sample
from alexnet_cuda.ops import geometry
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

H200 = 132  # multiprocessors
FEW = 2  # so that small problems get the tiles of large ones
NO_UPDATE = ((0, 0, 0), (0, 0.0, 0.0, 0.0))


def shapes(case):
    return (case.x, case.w, case.y)


def windows(case):
    return geometry.windows("conv2d", case.x[1:3], case.w[1:3], case.stride, case.pad, case.ceil_mode)


def chosen(case, multiprocessors=H200, module=emulated):
    return module.choose_conv_wgrad_hopper(*shapes(case), case.groups, multiprocessors)


def tile_of(text):
    """(filters, inputs) of a choice."""
    filters, inputs = re.search(r"tiles of (\d+) filters x (\d+) inputs", text).groups()
    return int(filters), int(inputs)


def gives_db(case, multiprocessors):
    where = windows(case)
    return emulated.conv_wgrad_hopper_gives_db(*shapes(case), where.stride, where.pad, case.groups, multiprocessors)


@cache
def operands(case, values):
    """x and dy, in bfloat16."""
    rng = np.random.default_rng([*case.x, *case.w])
    return tuple(sample(rng, shape, values).astype(BFLOAT16) for shape in (case.x, case.y))


def wide(*arrays):
    return tuple(array.astype(np.float64) for array in arrays)


@cache
def expected(case, values):
    """dw and db in float64, and the same of absolute values."""
    x, dy = wide(*operands(case, values))
    with ops.backend("reference"):
        return [
            (ops.conv2d_wgrad(x, dy, case.w, **case.window_parameters), dy.sum(axis=(1, 2, 3)))
            for x, dy in ((x, dy), (np.abs(x), np.abs(dy)))
        ]


@dataclass
class Weights:
    """What an update changes: w and v float32, the copy in bfloat16, and the rates."""

    w: np.ndarray
    v: np.ndarray
    rates: dict
    state: np.ndarray | None = None
    w_bf16: np.ndarray = field(init=False)

    def __post_init__(self):
        self.w_bf16 = self.w.astype(BFLOAT16)

    @classmethod
    def drawn(cls, shape, rates, state):
        rng = np.random.default_rng(3)
        w, v = (rng.standard_normal(shape).astype(FLOAT32) for _ in range(2))
        return cls(w, v, rates, state)

    def for_kernel(self):
        pointers = tuple(array.ctypes.data for array in (self.w, self.v, self.w_bf16))
        rates = tuple(self.rates[name] for name in ("lr", "momentum", "weight_decay"))
        return pointers, (0 if self.state is None else self.state.ctypes.data, *rates)

    def updated(self, gradient):
        """A copy, updated by the operation."""
        other = Weights(self.w.copy(), self.v.copy(), self.rates, self.state)
        with ops.backend("emulated"):
            ops.sgd_momentum(other.w, other.v, gradient, **self.rates, w_bf16=other.w_bf16, state=self.state)
        return other

    def bits(self):
        return [array.tobytes() for array in (self.w, self.v, self.w_bf16)]


def run(case, x, dy, *, multiprocessors=FEW, db=None, dw=True, filters=None, bias=None, machine=EMULATOR):
    """dw and db. Both and the workspace begin as NaN, between canaries; db is asked for where it comes for nothing.
    filters and bias have their weights where the emulator reaches them."""
    where = windows(case)
    db = gives_db(case, multiprocessors) if db is None else db
    arrays = [guarded_output(shape, FLOAT32, machine) for shape in (case.w, case.w[3:])]
    count = emulated.conv_wgrad_hopper_workspace_bytes(*shapes(case), case.groups, multiprocessors) // 4
    workspace = guarded_output((count,), FLOAT32, machine)
    inputs = [guarded(array, machine) for array in (x, dy)]
    filter_update, bias_update = (NO_UPDATE if each is None else each.for_kernel() for each in (filters, bias))
    wanted = [machine.address(each.array) if on else 0 for each, on in zip(arrays, (dw, db), strict=True)]
    machine.module.conv_wgrad_hopper(
        *(machine.address(each.array) for each in inputs), *wanted, filter_update[0], bias_update[0],
        filter_update[1], bias_update[1], *shapes(case), where.stride, where.pad, case.groups,
        machine.address(workspace.array), multiprocessors, machine.where,
    )  # fmt: skip
    for each in (*arrays, *inputs, workspace):
        assert each.canaries_alive()
    for each, before in zip(inputs, (x, dy), strict=True):
        assert machine.back(each.array).tobytes() == before.tobytes()
    return [machine.back(each.array) if on else None for each, on in zip(arrays, (dw, db), strict=True)]


def comparisons(case, values, got, want):
    (want_dw, want_db), (scale_dw, scale_db) = want
    terms = case.y[1] * case.y[2] * case.y[3]
    for name, result, right, scale in (("dw", got[0], want_dw, scale_dw), ("db", got[1], want_db, scale_db)):
        if result is not None:
            bound = bf16_bound(result, scale, terms) if values == "normal" else np.zeros(right.shape)
            yield name, compare(result, right, bound)


def assert_right(case, values, **arguments):
    got = run(case, *operands(case, values), **arguments)
    for name, comparison in comparisons(case, values, got, expected(case, values)):
        assert comparison.passed, (name, chosen(case, arguments.get("multiprocessors", FEW)), comparison.message)
