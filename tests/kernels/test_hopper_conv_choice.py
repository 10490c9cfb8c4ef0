"""Which tiles Hopper's convolution takes, and which calls it refuses."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from kernels.hopper import emulated
from kernels.hopper_conv import LAYERS, MULTIPROCESSORS, Backward, Conv, Forward, Operands

# What AlexNet's layers get: two towers with 128 images and 1024, and conv2 in one tower.
CHOICES = (
    ("fprop", "conv2", 128, "756 tiles of 128x256, 4 positions of 64 images, steps of 16 for 5 taps"),
    ("fprop", "conv3", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("fprop", "conv4", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("fprop", "conv5", 128, "182 tiles of 128x256, 2 positions of 128 images, steps of 64"),
    ("fprop", "conv5", 1024, "1352 tiles of 128x256, 1 positions of 256 images, steps of 64"),
    ("fprop", "conv2 of one tower", 128, "756 tiles of 128x256, 4 positions of 64 images, steps of 16 for 5 taps"),
    ("dgrad", "conv2", 128, "378 tiles of 64x512, 4 positions of 128 images, steps of 16 for 5 taps"),
    ("dgrad", "conv3", 128, "182 tiles of 128x256, 2 positions of 128 images, steps of 64"),
    ("dgrad", "conv4", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("dgrad", "conv5", 128, "182 tiles of 192x256, 2 positions of 128 images, steps of 64"),
    ("dgrad", "conv5", 1024, "1352 tiles of 192x256, 1 positions of 256 images, steps of 64"),
    ("dgrad", "conv2 of one tower", 128, "378 tiles of 128x256, 4 positions of 64 images, steps of 16 for 5 taps"),
)


@pytest.mark.parametrize("way, layer, images, text", CHOICES)
def test_choices_for_alexnet(way, layer, images, text):
    case = next(case for case in LAYERS if case.name == layer + " ")
    size = 27 if "conv2" in layer else 13
    whole = replace(case, x=(case.x[0], size, size, images))
    assert getattr(emulated, f"choose_conv_{way}_hopper")(*whole.shapes, MULTIPROCESSORS) == text


def fits(way, case, *addresses):
    return getattr(emulated, f"conv_{way.name}_hopper_fits")(*addresses, *case.shapes)


def test_calls_that_the_copy_engine_cannot_take_are_refused():
    good = Conv((16, 4, 4, 64), (16, 3, 3, 16), pad=1)
    assert fits(Forward, good, 1024, 2048, 4096) and fits(Backward, good, 1024, 2048, 0, 4096)
    assert not fits(Forward, good, 1024 + 8, 2048, 4096)
    assert not fits(Backward, good, 1024, 2048, 4096 + 2, 4096)
    others = (
        replace(good, x=(16, 4, 4, 12)),
        replace(good, w=(16, 3, 3, 12)),
        replace(good, x=(32, 4, 4, 64), w=(16, 3, 3, 24), groups=2),  # 12 filters in a group
        replace(good, x=(48, 4, 4, 64), w=(16, 3, 3, 48), groups=3),
        replace(good, x=(16, 40, 40, 64), w=(16, 11, 11, 16), stride=9),
    )
    for case in others:
        assert not fits(Forward, case, 0, 0, 0) and not fits(Backward, case, 0, 0, 0, 0)
        with pytest.raises(ValueError, match="does not fit"):
            Forward.run(case, Operands.of(case, "integers"))
    strided = replace(good, x=(16, 5, 5, 64), stride=2)
    assert fits(Forward, strided, 0, 0, 0) and not fits(Backward, strided, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="does not fit"):
        Backward.run(strided, Operands.of(strided, "integers"))
    with pytest.raises(ValueError, match="no kernel for tiles of 96x256"):
        Forward.run(replace(good, tile=(96, 256, 64, 1)), Operands.of(good, "integers"))
    with pytest.raises(ValueError, match="not with 3 positions"):
        Forward.run(replace(good, tile=(64, 256, 64, 3)), Operands.of(good, "integers"))
    with pytest.raises(ValueError, match="cannot take this shape"):
        Forward.run(replace(good, tile=(128, 256, 16, 4)), Operands.of(good, "integers"))


def asked_alone(function, *arguments):
    """In a thread of its own, which remembers nothing."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def test_what_was_asked_before_changes_no_choice():
    """More questions than are remembered, each twice; every shape on two numbers of multiprocessors."""
    questions = []
    for i in range(1, 41):
        x, w, y, stride, pad, groups = Conv((8 * i, 13, 13, 128), (8 * i, 3, 3, 64), pad=1).shapes
        for on in (MULTIPROCESSORS, 2):
            questions += [
                (emulated.choose_conv_fprop_hopper, (x, w, y, stride, pad, groups, on)),
                (emulated.choose_conv_dgrad_hopper, (x, w, y, stride, pad, groups, on)),
                (emulated.choose_conv_wgrad_hopper, (x, w, y, groups, on)),
                (emulated.choose_gemm_hopper, ((64 * i, 128, 128 * on),)),
            ]
    for choose, arguments in (*questions, *reversed(questions)):
        assert choose(*arguments) == asked_alone(choose, *arguments), arguments
