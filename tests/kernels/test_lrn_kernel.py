"""Normalisation's kernels: windows and maps that the case tables leave out, because no other backend minds them."""

import numpy as np
import pytest
from kernels.modules import MODULES

from alexnet_cuda import ops
from alexnet_cuda.checks import OPERATIONS
from alexnet_cuda.checks.cases.lrn import LrnCase
from alexnet_cuda.checks.runner import check_case

ACROSS = (
    LrnCase("window of 3, many channels", (150, 1, 3, 5), size=3, alpha=0.3),
    LrnCase("window of 5, segments of 32 channels and a rest", (150, 1, 3, 4), alpha=0.3),
    LrnCase("window of 9, segments", (131, 1, 2, 3), size=9, alpha=0.3),
    LrnCase("segments in groups", (3 * 70, 2, 1, 4), alpha=0.3, groups=3, beta=0.6),
)
WITHIN = (
    *(LrnCase(f"window of {s}, several tiles", (2, 4, 70, 3), size=s, alpha=0.1) for s in (2, 3, 5, 7, 9)),
    *(LrnCase(f"window of {s}, narrow and tall", (3, 33, 2, 5), size=s, alpha=0.1, beta=0.6) for s in (3, 6, 9)),
    LrnCase("window of 11", (1, 6, 13, 2), size=11, alpha=0.1),
)


@pytest.mark.parametrize(
    "name, case",
    [
        pytest.param(f"{name}{direction}", case, id=f"{name}{direction}-{case.name}")
        for name, cases in (("lrn", ACROSS), ("lrn_within_channel", WITHIN))
        for direction in ("", "_backward")
        for case in cases
    ],
)
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("values", ("integers", "normal"))
def test_against_the_reference(name, case, values, dtype):
    for row in check_case(OPERATIONS[name], case, values, "emulated", dtype):
        assert row.passed, row.message


@pytest.mark.parametrize("name", ("lrn", "lrn_within_channel"))
def test_windows_beyond_every_32_bit_index(name):
    x, dy = np.random.default_rng(0).standard_normal((2, 5, 4, 5, 3)).astype(np.float32)
    groups = {"groups": 1} if name == "lrn" else {}
    constants = {"alpha": 0.1, "beta": 0.75, "k": 2.0, **groups}
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    with ops.backend("emulated"):
        np.testing.assert_array_equal(forward(x, size=2**40, **constants), forward(x, size=11, **constants))
        np.testing.assert_array_equal(backward(x, dy, size=2**40, **constants), backward(x, dy, size=11, **constants))


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    norm1, norm2 = (96, 55, 55, 128), (256, 27, 27, 128)
    words = "channels of 4 positions, window in registers"
    assert module.choose_lrn(norm1, 2, 5, True) == f"379 x 2 blocks of 256 threads, each 48 {words}"
    assert module.choose_lrn(norm2, 2, 5, True) == f"92 x 8 blocks of 256 threads, each 32 {words}"
    assert module.choose_lrn(norm2, 2, 5, False).endswith("of 1 position, window in registers")
    assert module.choose_lrn(norm2, 2, 4, True).endswith("of 1 position, any window")
    forward = module.choose_lrn_within_channel(norm2, 5)
    assert forward == "2048 blocks of 32 x 14 threads, each one column of a map"
    backward = module.choose_lrn_within_channel_backward(norm2, 5)
    assert backward == "1024 blocks of 32 x 31 threads, each one column of a map"
    assert module.choose_lrn_within_channel(norm2, 4).endswith("each pixel on its own")
    with pytest.raises(ValueError, match="3 groups of the channels"):
        module.choose_lrn(norm2, 3, 5, True)
