"""The augmentation kernel: channels and widths around the pieces it works in."""

import numpy as np
import pytest
from kernels.modules import MODULES

from alexnet_cuda.checks import OPERATIONS
from alexnet_cuda.checks.cases.augment import AugmentCase
from alexnet_cuda.checks.runner import check_case

CASES = (
    *(AugmentCase(f"rows of {w} pixels", (5, 3, w + 2, 3), (2, w), shift=True) for w in (31, 32, 33, 64, 65)),
    *(AugmentCase(f"{c} channels", (33, 4, 40, c), (3, 37), mean="image", shift=True) for c in (1, 2, 4, 7, 97)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("values", ("integers", "normal"))
def test_against_the_reference(case, values, dtype):
    for row in check_case(OPERATIONS["augment"], case, values, "emulated", dtype):
        assert row.passed, row.message


@pytest.mark.parametrize("module", MODULES)
def test_the_launch_can_be_printed_without_a_gpu(module):
    text = module.choose_augment((128, 256, 256, 3), (224, 224))
    assert text == "1568 x 4 blocks of 256 threads, 96 bytes of 32 images"


@pytest.mark.parametrize("module", MODULES)
def test_a_crop_larger_than_the_image_is_refused(module):
    a = np.zeros(4096, np.float32).ctypes.data
    with pytest.raises(ValueError, match="augment: crops of 5 x 4 from 1 images of 4 x 4 x 3"):
        module.augment(a, a, a, 0, 0, a, 0, (1, 4, 4, 3), (5, 4), (0, 0), "float32", (-1, 0))
