"""The matrix product on Hopper's matrix units, through the emulator: every operand order, tile and cut of K."""

from dataclasses import dataclass

import numpy as np
import pytest
from kernels.hopper import BOTH, HERE, as_bf16, bf16_bound, emulated, guarded_output
from kernels.modules import MODULES

from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.guard import Guarded
from alexnet_cuda.checks.table import sample
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

ORDERS = [pytest.param(a, b, id=f"{'a.T' if a else 'a'} {'b.T' if b else 'b'}") for a in (0, 1) for b in (0, 1)]


@dataclass(frozen=True)
class Product:
    """c [M, N] = relu(alpha * op(a) op(b) + beta * c + bias), cut into tiles of `columns`, parts and blocks."""

    M: int
    N: int
    K: int
    columns: int = 128
    splits: int = 1
    blocks: int = 132
    alpha: float = 1
    beta: float = 0
    bias: bool = False
    relu: bool = False
    dtype: np.dtype = BFLOAT16

    @property
    def sizes(self):
        return (self.M, self.N, self.K)

    @property
    def cut(self):
        return (self.columns, self.splits, self.blocks)


@dataclass
class Operands:
    """Matrices as the formula has them, float64: a [M, K], b [K, N], bias [M], c [M, N]."""

    a: np.ndarray
    b: np.ndarray
    bias: np.ndarray
    c: np.ndarray

    @classmethod
    def of(cls, case, values):
        rng = np.random.default_rng([case.M, case.N, case.K])
        M, N, K = case.sizes
        a, b, c = (as_bf16(sample(rng, shape, values)) for shape in ((M, K), (K, N), (M, N)))
        return cls(a, b, sample(rng, (M,), values).astype(FLOAT32).astype(np.float64), c)


def run(case, operands, trans_a=False, trans_b=False):
    """What the kernel makes of it; everything it must not touch is looked at."""
    a = np.ascontiguousarray((operands.a.T if trans_a else operands.a).astype(BFLOAT16))
    b = np.ascontiguousarray((operands.b.T if trans_b else operands.b).astype(BFLOAT16))
    bias = operands.bias.astype(FLOAT32)
    c = guarded_output((case.M, case.N), case.dtype)
    if case.beta:
        c.array[...] = operands.c
    workspace = Guarded(np.full(emulated.gemm_hopper_workspace_bytes(case.sizes, case.cut), 0xFF, np.uint8), 0)
    emulated.gemm_hopper(
        a.ctypes.data, b.ctypes.data, c.array.ctypes.data, case.sizes, bool(trans_a), bool(trans_b), case.alpha,
        case.beta, bias.ctypes.data if case.bias else 0, case.relu, case.dtype.name, case.cut,
        workspace.array.ctypes.data if workspace.array.size else 0, HERE,
    )  # fmt: skip
    assert c.canaries_alive() and workspace.canaries_alive()
    return c.array


def expected(case, operands):
    c = case.alpha * (operands.a @ operands.b) + case.beta * operands.c
    if case.bias:
        c = c + operands.bias[:, None]
    return np.maximum(c, 0) if case.relu else c


def bound(case, operands, got):
    scale = abs(case.alpha) * (np.abs(operands.a) @ np.abs(operands.b)) + abs(case.beta) * np.abs(operands.c)
    return bf16_bound(got, scale + np.abs(operands.bias)[:, None] * case.bias, case.K + 3)


def assert_right(case, values, *transposed):
    operands = Operands.of(case, values)
    got, want = run(case, operands, *transposed), expected(case, operands)
    if values == "integers":
        np.testing.assert_array_equal(got, want.astype(FLOAT32).astype(case.dtype))
    else:
        comparison = compare(got, want, bound(case, operands, got))
        assert comparison.passed, comparison.message


SHAPES = (
    Product(128, 128, 64),
    Product(8, 8, 8),
    Product(128, 256, 64, columns=256),
    Product(136, 136, 72),  # just past every edge
    Product(120, 248, 56, columns=256),  # just before it
    Product(200, 264, 136, columns=256, dtype=FLOAT32),
    Product(72, 40, 328, dtype=FLOAT32),
)


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("trans_a, trans_b", ORDERS)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_operand_orders_and_ragged_edges(case, trans_a, trans_b, values):
    assert_right(case, values, trans_a, trans_b)


EPILOGUES = (
    Product(136, 72, 64, bias=True),
    Product(72, 136, 64, bias=True, relu=True),
    Product(72, 136, 64, alpha=-2, bias=True, relu=True, dtype=FLOAT32),
    Product(136, 72, 64, alpha=2, beta=-3, relu=True),
    Product(72, 136, 64, beta=1, dtype=FLOAT32),
)


@pytest.mark.parametrize("values", BOTH)
@pytest.mark.parametrize("splits", (1, 3))
@pytest.mark.parametrize("case", EPILOGUES, ids=str)
def test_epilogues_of_whole_and_split_sums(case, splits, values):
    assert_right(Product(**{**vars(case), "K": 64 * splits + 8 * (splits > 1), "splits": splits}), values, True)


def test_the_bound_sees_a_lost_product():
    case = SHAPES[-1]
    operands = Operands.of(case, "normal")
    got = run(case, operands)
    operands.a[:, 100] = 0
    assert not compare(got, expected(case, operands), bound(case, operands, got)).passed


@pytest.mark.parametrize("columns, splits", ((128, 1), (256, 1), (128, 3)))
def test_a_block_that_does_all_tiles_gives_the_same_bits(columns, splits):
    """One block, two, or one for each tile: the ring goes round across tiles, the staging is used again."""
    case = Product(264, 520, 200, columns=columns, splits=splits, bias=True)
    operands = Operands.of(case, "normal")
    first = run(case, operands, True).tobytes()
    for blocks in (1, 2, 7):
        assert run(Product(**{**vars(case), "blocks": blocks}), operands, True).tobytes() == first


@pytest.mark.parametrize("splits", (1, 2))
@pytest.mark.parametrize("dtype", (BFLOAT16, FLOAT32), ids=str)
def test_nan_and_infinity_come_out_again(splits, dtype):
    case = Product(72, 72, 128, splits=splits, bias=True, relu=True, dtype=dtype)
    operands = Operands.of(case, "integers")
    operands.a[3, 100] = np.nan
    operands.bias[5] = np.nan
    operands.b[7, 11] = np.inf
    operands.a[:, 7] = 1
    got = run(case, operands)
    wrong = np.isnan(got)
    assert wrong[3].all() and wrong[5].all() and wrong.sum() == 2 * case.N
    others = np.delete(np.arange(case.M), (3, 5))
    assert np.isposinf(got[others, 11]).all()
    assert np.isfinite(np.delete(got[others], 11, axis=1)).all()


def test_beta_zero_reads_no_result():
    case = Product(8, 8, 8)
    assert np.isfinite(run(case, Operands.of(case, "normal"))).all()  # c was NaN


def test_what_the_copy_engine_cannot_take():
    def fits(M=64, N=64, K=64, trans_a=False, trans_b=False, a=0, b=0, c=0, dtype="bfloat16"):
        return emulated.gemm_hopper_fits(1024 + a, 2048 + b, 4096 + c, (M, N, K), trans_a, trans_b, dtype)

    assert fits()
    assert not fits(K=60)  # a's rows
    assert not fits(N=60)  # b's and c's
    assert fits(M=60) and not fits(M=60, trans_a=True)
    assert fits(K=60, trans_a=True) and not fits(K=60, trans_a=True, trans_b=True)
    assert not fits(N=60, trans_b=True) and fits(N=60, trans_b=True, dtype="float32")
    assert not fits(N=61, trans_b=True, dtype="float32")
    assert not fits(a=8) and not fits(b=8) and not fits(c=8)
    assert fits(c=8, dtype="float32") and not fits(c=4, dtype="float32")
    with pytest.raises(ValueError, match="cannot take these arrays"):
        emulated.gemm_hopper(1024, 2048, 4096, (60, 60, 60), False, False, 1, 0, 0, False, "bfloat16", None, 0, HERE)


@pytest.mark.parametrize("module", MODULES)
def test_the_choice_can_be_printed_without_a_gpu(module):
    def chosen(*sizes):
        return module.choose_gemm_hopper(sizes)

    assert chosen(8192, 8192, 8192) == "tiles of 128x256, K whole of 128 steps, 132 blocks"
    fc6, fc7, fc8 = (4096, 128, 9216), (4096, 128, 4096), (1000, 128, 4096)
    assert chosen(*fc6) == "tiles of 128x128, K in 4 parts of 36 steps, 128 blocks"
    assert module.gemm_hopper_workspace_bytes(fc6, None) == 4 * 4 * 4096 * 128
    assert chosen(*fc7) == "tiles of 128x128, K in 4 parts of 16 steps, 128 blocks"
    assert chosen(*fc8) == "tiles of 128x128, K in 13 parts of 5 steps, 104 blocks"
    assert chosen(9216, 128, 4096) == "tiles of 128x128, K whole of 64 steps, 72 blocks"
    assert chosen(4096, 1024, 9216) == "tiles of 128x256, K whole of 144 steps, 128 blocks"
    with pytest.raises(ValueError, match="128 or 256 columns"):
        module.gemm_hopper_workspace_bytes((8, 8, 8), (64, 1, 1))
