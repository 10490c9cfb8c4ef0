"""Convolution on Hopper's matrix units: every tile with every number of positions, on sizes beside its own."""

import pytest
from kernels.hopper_cases import CONVOLUTIONS, ROWS_OF_TAPS, Conv, Convolution, Forward

TILES = [(way, tile[:3], (1, 2, 4)) for way, tile, _ in CONVOLUTIONS]
TILES += [(way, tile[:3], (4,)) for way, tile in ROWS_OF_TAPS]


def beside(way, rows, columns, depth, positions, more):
    """One tile of each but `more` filters, channels and images; channels, which may be odd, by one more."""
    of_rows, of_depth, images = rows + more, depth + more, columns // positions + more
    if depth == 16:  # steps of a row of taps
        x, w, pad = (2, 5, images), (5, 5), 2
    else:
        x, w, pad = (2, 3, images), (2, 2), 1
    odd = more // abs(more)
    filters, channels = (of_rows, of_depth + odd) if way is Forward else (of_depth, of_rows + odd)
    return Conv((channels, *x), (channels, *w, filters), pad, tile=(rows, columns, depth, positions), blocks=2)


@pytest.mark.parametrize("more, values", ((-8, "integers"), (8, "normal")))
@pytest.mark.parametrize(
    "way, tile, positions",
    [
        pytest.param(way, tile, count, id=f"{way.name} {tile}, {count} positions")
        for way, tile, counts in TILES
        for count in counts
        if count <= tile[1] // 64
    ],
)
def test_sizes_beside_a_tile(way, tile, positions, more, values):
    call = Convolution(way, beside(way, *tile, positions, more))
    call.judge(values, call.results(values))
