"""Where windows lie: sizes that the nets of 2012 pin, the forms of padding, and what is refused."""

import numpy as np
import oracle
import pytest

from alexnet_cuda.ops.geometry import windows


@pytest.mark.parametrize(
    "image, size, stride, pad, ceil_mode, outputs",
    [
        (224, 11, 4, 0, True, 55),  # conv1 as released: 224 and rounding up
        (227, 11, 4, 0, False, 55),  # conv1 as usually told: 227 and rounding down
        (224, 11, 4, 2, False, 55),  # conv1 of torchvision
        (224, 11, 4, 0, False, 54),
        (55, 3, 2, 0, True, 27),
        (27, 5, 1, 2, False, 27),
        (27, 3, 2, 0, True, 13),
        (13, 3, 1, 1, False, 13),
        (13, 3, 2, 0, True, 6),
        (32, 3, 2, 0, True, 16),  # alexnet_mini's pools overhang by a pixel
        (32, 3, 2, 0, False, 15),
        (224, 7, 2, 1, False, 110),  # zfnet
        (28, 5, 1, "valid", False, 24),
        (28, 5, 2, "same", False, 14),
        (5, 2, 1, "same", False, 5),
    ],
)
def test_number_of_outputs(image, size, stride, pad, ceil_mode, outputs):
    placed = windows("conv2d", (image, image), (size, size), stride, pad, ceil_mode)
    assert placed.outputs == (outputs, outputs)


def test_same_puts_the_odd_pixel_at_the_end():
    placed = windows("conv2d", (5, 8), (2, 4), 1, "same", False)
    assert placed.pad == (0, 1)


def test_every_small_geometry_agrees_with_the_oracle_also_on_what_is_refused():
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(3000):
        image, size = tuple(rng.integers(1, 9, 2).tolist()), tuple(rng.integers(1, 6, 2).tolist())
        stride = tuple(rng.integers(1, 5, 2).tolist())
        pad = [tuple(rng.integers(0, 4, 2).tolist()), "same", "valid"][rng.choice(3, p=[0.8, 0.1, 0.1])]
        ceil_mode = bool(rng.integers(2))
        try:
            want = oracle.out_shape(image, size, stride=stride, pad=pad, ceil_mode=ceil_mode)
        except ValueError:
            want = None
            refused += 1
        try:
            got = windows("conv2d", image, size, stride, pad, ceil_mode).outputs
        except ValueError:
            got = None
        assert got == want, (image, size, stride, pad, ceil_mode)
    assert 100 < refused < 2900  # both kinds were met


@pytest.mark.parametrize(
    "parameters, error, says",
    [
        (
            {"size": (4, 3)},
            ValueError,
            "'size': got a height of 4, wanted at most 3 .* a smaller window or a pad of at least 1",
        ),
        ({"stride": 0}, ValueError, "'stride': got 0, wanted at least 1"),
        ({"stride": (1, 0)}, ValueError, "'stride': got 0"),
        ({"stride": 1.5}, TypeError, "'stride': got 1.5, wanted an integer"),
        ({"stride": True}, TypeError, "'stride': got True"),
        ({"ceil_mode": 1}, TypeError, "'ceil_mode': got 1, wanted True or False"),
        ({"stride": (1, 2, 3)}, ValueError, r"'stride': got \(1, 2, 3\), wanted one integer or a"),
        ({"pad": -1}, ValueError, "'pad': got -1, wanted at least 0"),
        ({"pad": "full"}, ValueError, "'pad': got 'full', wanted an integer, a pair, 'valid' or 'same'"),
        ({"pad": 3}, ValueError, "got a first window along the height that covers no pixel, .* use a pad smaller"),
        (
            {"size": (1, 1), "stride": 3, "ceil_mode": True, "image": (4, 5)},
            ValueError,
            "got a last window along the width that covers no pixel, .* use a smaller stride",
        ),
    ],
)
def test_bad_geometry_says_what_is_wrong(parameters, error, says):
    given = {"image": (3, 5), "size": (3, 3), "stride": 1, "pad": 0, "ceil_mode": False, **parameters}
    with pytest.raises(error, match=says):
        windows("conv2d", **given)
