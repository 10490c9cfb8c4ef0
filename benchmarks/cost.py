"""What the bf16 convolutions of AlexNet should take on an H200: a model, by which results are judged.

A block works on a tile of the result at the slower of two rates, its share of the tensor cores and its share of what
the L2 hands to multiprocessors, and pays a fixed time per tile and per launch. Tiles go to the multiprocessor that is
free first, the longest first. Products with padding are skipped where all columns of a tile share a position. Every
number of the machine is below; the choice of tiles is the best that the model finds, not the one a kernel makes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bench_cpu import LAYERS, Conv

MULTIPROCESSORS = 132
TENSOR_FLOPS = 790e12  # of a matrix product of 8192^3 in bf16
EFFICIENCY = 0.90  # of that, in the main loop of a good kernel
BANDWIDTH = 4.3e12  # bytes per second of a copy, read and written
L2_BANDWIDTH = 8e12  # bytes per second from L2 into shared memory
PER_TILE_S, PER_LAUNCH_S = 0.6e-6, 3e-6
FORWARD_TILES = ((64, 256), (128, 128), (128, 256), (192, 128), (192, 256), (256, 128))
BF16_BYTES, FLOAT32_BYTES = 2, 4

MMA_RATE = TENSOR_FLOPS * EFFICIENCY / MULTIPROCESSORS
L2_RATE = L2_BANDWIDTH / MULTIPROCESSORS


@dataclass(frozen=True)
class Geometry:
    """A layer as the model sees it: channels and filters of a group, and how many taps lie in the image, per axis."""

    layer: Conv
    channels: int
    filters: int
    taps: tuple[int, ...]

    @property
    def positions(self) -> list[int]:
        return [down * across for down in self.taps for across in self.taps]

    def flops(self, images: int) -> float:
        return 2.0 * sum(self.positions) * self.channels * self.filters * self.layer.groups * images

    def bytes(self, images: int, filter_bytes: int) -> float:
        layer = self.layer
        maps = math.prod(layer.x) + layer.w[3] * layer.outputs**2
        return BF16_BYTES * maps * images + filter_bytes * math.prod(layer.w)


def geometry(layer: Conv) -> Geometry:
    edge, size = layer.x[1], layer.w[1]
    starts = [p * layer.stride - layer.pad for p in range(layer.outputs)]
    taps = tuple(sum(0 <= start + r < edge for r in range(size)) for start in starts)
    return Geometry(layer, layer.w[0], layer.w[3] // layer.groups, taps)


def width_efficiency(columns: int) -> float:
    """Below 192 columns a wgmma waits for shared memory."""
    return 1.0 if columns >= 192 else 0.93 if columns >= 128 else 0.85


def tile_seconds(rows: int, columns: int, depth: float, moved: float) -> float:
    """Of a tile whose main loop multiplies `depth` deep and fetches `moved` bytes."""
    return max(2 * rows * columns * depth / (MMA_RATE * width_efficiency(columns)), moved / L2_RATE)


def makespan(tiles: Sequence[float]) -> float:
    free = [0.0] * MULTIPROCESSORS
    for seconds in sorted(tiles, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def product_plans(shape: Geometry, rows: int, depth: int, images: int) -> Iterator[float]:
    """Times of fprop (rows: filters, depth: channels) or dgrad (the other way round) by each choice of tiles."""
    depth = math.ceil(depth / 16) * 16
    for tile_rows, tile_columns in FORWARD_TILES:
        across = max(1, tile_columns // images)  # positions in a tile
        repeats = max(1, images // tile_columns) * math.ceil(rows / tile_rows) * shape.layer.groups
        positions = shape.positions
        for share_rows, share_columns in sharings(math.ceil(rows / tile_rows), tile_columns, images):
            bytes_per_depth = BF16_BYTES * (tile_rows * share_rows + tile_columns * share_columns)
            tiles = []
            for i in range(0, len(positions), across):
                deep = max(positions[i : i + across]) * depth
                tiles += [tile_seconds(tile_rows, tile_columns, deep, deep * bytes_per_depth) + PER_TILE_S] * repeats
            yield makespan(tiles) + PER_LAUNCH_S
        if tile_columns == 256 and images % 64 == 0 and shape.layer.outputs % 4 in (0, 3):
            yield halo_plan(shape, tile_rows, depth, math.ceil(rows / tile_rows) * shape.layer.groups, images)


def sharings(row_tiles: int, tile_columns: int, images: int) -> Iterator[tuple[float, float]]:
    """What of the two operands a block fetches itself when two blocks share one of them."""
    yield 1.0, 1.0
    if row_tiles % 2 == 0:
        yield 1.0, 0.5
    if images >= 2 * tile_columns:
        yield 0.5, 1.0


def halo_plan(shape: Geometry, tile_rows: int, depth: int, repeats: int, images: int) -> float:
    """Four neighbouring positions of 64 images in a tile, whose pixels are fetched once for all taps of a row."""
    size = shape.layer.w[1]
    tiles = []
    for down in shape.taps:
        moved = BF16_BYTES * depth * down * (size * tile_rows + (size + 3) * 64)
        seconds = tile_seconds(tile_rows, 256, down * size * depth, moved) + PER_TILE_S
        tiles += [seconds] * (math.ceil(shape.layer.outputs / 4) * (images // 64) * repeats)
    return makespan(tiles) + PER_LAUNCH_S


def wgrad_plans(shape: Geometry, images: int) -> Iterator[float]:
    """Tiles of filters and of (tap, channel) pairs; the sum over positions and images split among blocks."""
    pairs = shape.layer.w[1] ** 2 * shape.channels
    steps = sum(shape.positions) / shape.layer.w[1] ** 2 * images / 64
    for tile_rows in (128, 192):
        for tile_columns in (192, 240, 256):
            if shape.filters % tile_rows or (tile_columns == 240 and shape.channels != 48):
                continue
            tiles = shape.filters // tile_rows * math.ceil(pairs / tile_columns) * shape.layer.groups
            step = tile_seconds(tile_rows, tile_columns, 64, (tile_rows + tile_columns) * 64 * BF16_BYTES)
            for parts in range(1, 65):
                rounds = math.ceil(tiles * parts / MULTIPROCESSORS)
                yield rounds * (step * steps / parts + 1.5e-6) + PER_LAUNCH_S


def first_layer_seconds(shape: Geometry, what: str, images: int) -> float:
    """conv1, whose patch of 363 rows is one box."""
    patch = math.prod(shape.layer.w[:3])
    rows = math.ceil(patch / 16) * 16
    positions = shape.layer.outputs**2
    if what == "fprop":
        tile = tile_seconds(128, shape.filters, rows, 128 * patch * BF16_BYTES) + 0.15e-6
        return makespan([tile] * (positions * max(1, images // 128))) + PER_LAUNCH_S
    step = tile_seconds(math.ceil(patch / 64) * 64, shape.filters, 64, (patch + shape.filters) * 64 * BF16_BYTES)
    return math.ceil(positions * images / 64 / MULTIPROCESSORS) * step + PER_LAUNCH_S + 4e-6


@lru_cache
def conv_ms(layer: Conv, what: str, images: int) -> float:
    """Milliseconds of fprop, dgrad or wgrad; never less than 90 % of the bandwidth allows."""
    shape = geometry(layer)
    if layer.x[0] == 3:
        seconds = first_layer_seconds(shape, what, images)
    elif what == "wgrad":
        seconds = min(wgrad_plans(shape, images))
    else:
        sizes = (shape.filters, shape.channels) if what == "fprop" else (shape.channels, shape.filters)
        seconds = min(product_plans(shape, *sizes, images))
    filter_bytes = FLOAT32_BYTES if what == "wgrad" else BF16_BYTES
    return 1e3 * max(seconds, shape.bytes(images, filter_bytes) / BANDWIDTH / 0.9)


def gemm_ms(flops: float, moved: float) -> float:
    """80 % of the tensor cores or 85 % of the bandwidth."""
    return 1e3 * (max(flops / (0.80 * TENSOR_FLOPS), moved / (0.85 * BANDWIDTH)) + PER_LAUNCH_S)


def main() -> None:
    for images in (128, 1024):
        print(f"{images} images, microseconds: fprop, dgrad, wgrad")
        for layer in LAYERS:
            times = [conv_ms(layer, what, images) for what in ("fprop", "dgrad", "wgrad")]
            print(f"  {layer.name}  " + "  ".join(f"{1e3 * ms:6.0f}" for ms in times))


if __name__ == "__main__":
    main()
