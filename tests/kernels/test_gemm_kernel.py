"""The matrix product's kernels: what the case table leaves out."""

import numpy as np
import pytest
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.checks import OPERATIONS
from alexnet_cuda.checks.cases.gemm import GemmCase
from alexnet_cuda.checks.runner import DTYPES, check_case

# Both tile sizes, every way to read an operand, sums whole and in parts, sizes on and beside the tiles' edges.
CASES = tuple(
    GemmCase(f"{M}x{N}x{K}, {'a.T' if ta else 'a'}, {'b.T' if tb else 'b'}", M, N, K, ta, tb, alpha, beta, True, ta)
    for ta in (False, True)
    for tb in (False, True)
    for M, N, K, alpha, beta in (
        (128, 128, 8, 1, 0),
        (132, 260, 24, 1, 0),
        (256, 32, 64, 2, 0),
        (124, 28, 40, 1, 0),
        (36, 36, 1032, 1, -1),
        (100, 8, 2052, 1, 2),
        (100, 3, 2048, 1, 0),
        (129, 33, 517, 1, 0),
    )
)


@pytest.fixture(autouse=True)
def without_tensor_cores(monkeypatch):
    """Products of bfloat16 go to the general kernels too."""
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "80")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("values", ("integers", "normal"))
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_against_the_reference(case, values, dtype):
    for row in check_case(OPERATIONS["gemm"], case, values, "emulated", dtype):
        assert row.passed, row.message


@pytest.mark.parametrize("shape", ((33, 18, 65), (64, 16, 4096)))  # the sums whole, and in parts
@pytest.mark.parametrize("beta", (0, -2))
def test_a_float32_result_of_bfloat16_is_not_rounded(shape, beta):
    """A product of two bfloat16 has 16 digits, so float32 inputs of the same value have the same sums."""
    M, N, K = shape
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(DTYPES["bfloat16"]) for s in ((M, K), (K, N)))
    c, bias = rng.standard_normal((M, N), np.float32), rng.standard_normal(M, np.float32)
    with ops.backend("emulated"):
        wide = ops.gemm(
            a.astype(np.float32), b.astype(np.float32), bias=bias, beta=beta, out=c.copy() if beta else None
        )
        got = ops.gemm(a, b, bias=bias, beta=beta, out_dtype="float32", out=c.copy() if beta else None)
        narrow = ops.gemm(a, b, bias=bias)
    assert got.dtype == np.float32 and narrow.dtype == DTYPES["bfloat16"]
    np.testing.assert_array_equal(got, wide)
    assert (got != got.astype(narrow.dtype)).mean() > 0.9  # there was something to round


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_a_workspace_changes_no_bits(dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(DTYPES[dtype]) for shape in ((64, 4096), (4096, 16)))
    bytes_ = ops.workspace_bytes("gemm", a.shape, b.shape, (64, 16), dtype=dtype, backend="emulated")
    assert bytes_ > 0
    poisoned = np.full(bytes_, 0xFF, np.uint8)
    with ops.backend("emulated"):
        np.testing.assert_array_equal(ops.gemm(a, b, workspace=poisoned), ops.gemm(a, b))
        with pytest.raises(ValueError, match=f"argument 'workspace': got {bytes_ - 4} bytes, wanted {bytes_}"):
            ops.gemm(a, b, workspace=poisoned[:-4])


def test_beta_zero_reads_no_result():
    with ops.backend("emulated"):
        out = ops.gemm(
            np.ones((3, 2), np.float32), np.ones((2, 5), np.float32), out=np.full((3, 5), np.nan, np.float32)
        )
    np.testing.assert_array_equal(out, 2)


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    fc6 = module.choose_gemm((4096, 128, 9216), True, False, True, "float32")
    assert fc6 == "tiles of 128x128, 256 threads, K in 8 parts of 1152, reads of 16 and 16 bytes"
    assert module.gemm_workspace_bytes((4096, 128, 9216), "float32") == 8 * 4096 * 128 * 4
    one_image = module.choose_gemm((4096, 1, 9216), True, False, True, "float32")
    assert one_image == "tiles of 128x32, 128 threads, K in 16 parts of 576, reads of 16 and 4 bytes"
    weights = module.choose_gemm((9216, 4096, 128), False, True, False, "float32")
    assert weights.endswith("K whole, reads of 4 and 4 bytes")
    weights = module.choose_gemm((9216, 4096, 128), False, True, False, "bfloat16")
    assert weights == "tiles of 128x32, 128 threads, K whole, reads of 2 and 2 bytes"
    assert module.gemm_workspace_bytes((9216, 4096, 128), "float32") == 0
    with pytest.raises(ValueError, match="sizes has a size of 0"):
        module.choose_gemm((1, 0, 1), False, False, True, "float32")
