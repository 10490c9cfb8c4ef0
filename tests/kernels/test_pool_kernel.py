"""Pooling's kernels: what the case tables leave out."""

import numpy as np
import pytest
from kernels.modules import MODULES
from tables import DTYPES

from alexnet_cuda import ops
from alexnet_cuda.checks import OPERATIONS
from alexnet_cuda.checks.cases.pool import PoolCase
from alexnet_cuda.checks.runner import check_case

CASES = (
    PoolCase("3 x 3, four images at a time", (3, 19, 23, 32), ceil_mode=True),
    PoolCase("3 x 3, more than one tile and a rest of the batch", (2, 41, 11, 36), pad=1),
    *(
        PoolCase(f"{s} x {t}, stride 2, pad {p}", (3, 10, 13, 4), size=(s, t), pad=p)
        for s, t, p in ((2, 3, 1), (4, 4, 3), (4, 1, 0))
    ),
    PoolCase("2 x 2, four images at a time", (2, 8, 9, 8), size=2, stride=1, pad="same"),
    PoolCase("16 x 16 windows: the last that 8-bit positions hold", (2, 33, 40, 4), size=16, stride=8),
    PoolCase("more images than a warp's", (1, 5, 5, 260), stride=1),
    PoolCase("more images than a warp's of eight at a time", (1, 5, 5, 264), stride=1),
    PoolCase("12 images, which are no eights", (3, 7, 9, 12), size=2, ceil_mode=True),
)


@pytest.mark.parametrize("name", ("max_pool", "max_pool_backward", "avg_pool", "avg_pool_backward"))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("values", ("integers", "normal"))
def test_against_the_reference(name, case, values, dtype):
    for row in check_case(OPERATIONS[name], case, values, "emulated", dtype):
        assert row.passed, row.message


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_the_maximum_alone(dtype):
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 8)).astype(DTYPES[dtype])
    with ops.backend("emulated"):
        y, _ = ops.max_pool(x)
        np.testing.assert_array_equal(ops.max_pool(x, return_argmax=False), y)


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_equal_pixels_give_the_first(dtype):
    with ops.backend("emulated"):
        for size in (2, 3, 17):
            _, arg = ops.max_pool(np.ones((1, 17, 17, 8), DTYPES[dtype]), size=size, stride=1)
            assert (arg == 0).all()


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    pool1 = ((96, 55, 55, 128), (27, 27), (3, 3), (2, 2), (0, 0))
    for dtype, words in (
        ("float32", "4704 blocks of 32 x 16 threads, 4 x 4 positions, 4 images at a time"),
        ("bfloat16", "2688 blocks of 16 x 32 threads, 4 x 8 positions, 8 images at a time"),
    ):
        assert module.choose_max_pool(*pool1, True, dtype) == f"{words}, unrolled"
        assert module.choose_max_pool_backward(*pool1, True, dtype) == f"{words}, unrolled"
        assert module.choose_avg_pool(*pool1, True, dtype) == words
        assert module.choose_avg_pool_backward(*pool1, True, dtype).endswith(words[-18:])
        assert module.choose_max_pool(*pool1, False, dtype).endswith("1 image at a time, unrolled")
    twelve = ((96, 55, 55, 12), *pool1[1:])
    assert module.choose_avg_pool(*twelve, True, "float32").endswith("4 images at a time")
    assert module.choose_avg_pool(*twelve, True, "bfloat16").endswith("1 image at a time")
    with pytest.raises(ValueError, match="a window along the height without a pixel"):
        module.choose_max_pool((1, 4, 4, 1), (5, 1), (2, 2), (2, 2), (0, 0), True, "float32")
