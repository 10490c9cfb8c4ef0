"""Convolution's kernels: every tile size and both widths of reads, which the case table is too small to ask for."""

import numpy as np
import pytest
from kernels.modules import MODULES

from alexnet_cuda import config, ops
from alexnet_cuda.checks import OPERATIONS
from alexnet_cuda.checks.cases.conv import ConvCase
from alexnet_cuda.checks.runner import DTYPES, check_case


@pytest.fixture(autouse=True)
def without_tensor_cores(monkeypatch):
    """Products of bfloat16 go to the general kernels too."""
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "80")


EMULATED = config.load("_emulated")[0]
PASSES = {"conv2d": "choose_conv_fprop", "conv2d_dgrad": "choose_conv_dgrad", "conv2d_wgrad": "choose_conv_wgrad"}


def choice(module, name, case, aligned, dtype="float32"):
    """What the launcher of an operation chooses for a case, as text."""
    where = (case.stride, case.stride), (case.pad, case.pad)
    return getattr(module, PASSES[name])(case.x, case.w, case.y, *where, case.groups, aligned, dtype)


def passes(name, case, dtype="float32"):
    """Integers lie at good addresses and are read by four where sizes allow, normal values at bad ones."""
    for values in ("integers", "normal"):
        for row in check_case(OPERATIONS[name], case, values, "emulated", dtype):
            assert row.passed, (values, row.message)


def wide(filters, channels, rows):
    """One tile of lanes for each multiprocessor of the GPU that sizes are chosen for, or two: then a tile as large as
    the filters (channels, in dgrad) is chosen."""
    height = 22 if rows == 128 else 11
    name = f"{filters} filters of {channels} channels"
    return ConvCase(name, (channels, height, 12, 128), (channels, 3, 3, filters), pad=1, relu=True, relu_below=True)


@pytest.mark.parametrize("rows", (128, 96, 64, 32))
def test_forward_tiles(rows):
    case = wide(rows - 4, 9, rows)  # neither the tile nor a step of eight channels is full
    for aligned, width in ((True, "16"), (False, "4")):
        tiles = f"tiles of {rows}x128, {2 * rows} threads, sums whole, reads of {width} bytes"
        assert tiles in choice(EMULATED, "conv2d", case, aligned)
    passes("conv2d", case)


@pytest.mark.parametrize("rows", (96, 64, 32))
def test_first_layer_tiles(rows):
    case = wide(rows - 4, 3, rows)
    assert f"132 tiles of {rows}x128" in choice(EMULATED, "conv2d", case, True)
    passes("conv2d", case)


@pytest.mark.parametrize("rows", (128, 96, 64, 32))
def test_input_gradient_tiles(rows):
    case = wide(12, rows - 3, rows)
    assert f"tiles of {rows}x128" in choice(EMULATED, "conv2d_dgrad", case, True)
    passes("conv2d_dgrad", case)


@pytest.mark.parametrize(
    "case, tiles",
    [
        (ConvCase("whole", (130, 3, 3, 8), (130, 3, 3, 28), pad=1), "10 tiles of 32x128, 64 threads, sums whole"),
        (ConvCase("128", (3750, 2, 2, 16), (3750, 3, 3, 124), pad=1), "264 tiles of 128x128, 256 threads, sums whole"),
        (ConvCase("96", (1870, 2, 2, 16), (1870, 3, 3, 92), pad=1), "132 tiles of 96x128, 192 threads, sums whole"),
        (ConvCase("64", (1870, 2, 2, 16), (1870, 3, 3, 60), pad=1), "132 tiles of 64x128, 128 threads, sums whole"),
        (ConvCase("32", (20, 12, 13, 32), (20, 3, 3, 32), pad=1), "2 tiles of 32x128, 64 threads, sums in"),
    ],
)
def test_filter_gradient_tiles(case, tiles):
    assert tiles in choice(EMULATED, "conv2d_wgrad", case, True)
    passes("conv2d_wgrad", case)


# Lanes of one position, of several, and tiles that end inside a position; channels that are no multiple of a step.
@pytest.mark.parametrize("n", (4, 8, 12, 32, 64, 128, 132, 256))
@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_batches_that_are_multiples_of_four(n, stride, dtype):
    case = ConvCase(f"batch of {n}", (18, 7, 6, n), (9, 3, 3, 8), stride=stride, pad=1, groups=2, relu_below=True)
    for name in PASSES:
        size = {"float32": 16, "bfloat16": 8}[dtype]
        assert choice(EMULATED, name, case, True, dtype).endswith(f"reads of {size} bytes")
        passes(name, case, dtype)


@pytest.mark.parametrize("case", [ConvCase(f"conv1, {n}", (3, 31, 27, n), (3, 11, 11, 96), stride=4) for n in (4, 32)])
@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_first_layer_of_alexnet(case, dtype):
    for name in PASSES:
        passes(name, case, dtype)


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
def test_a_first_layer_with_more_taps_than_its_table_holds(dtype):
    passes("conv2d", ConvCase("16x16", (4, 17, 17, 4), (4, 16, 16, 4)), dtype)


def test_more_filters_than_the_one_tile_of_bfloat16_has():
    """Neither the last tile of filters and channels nor the last step of eight is full."""
    case = ConvCase("100 filters", (68, 6, 5, 36), (68, 3, 3, 100), pad=1, relu=True, relu_below=True)
    for name in PASSES:
        tiles = choice(EMULATED, name, case, True, "bfloat16")
        assert "tiles of 64x128, 128 threads" in tiles
        passes(name, case, "bfloat16")
    assert ", sums in " in choice(EMULATED, "conv2d_wgrad", case, True, "bfloat16")


class TestWorkspace:
    x, dy = (np.random.default_rng(0).standard_normal(s, np.float32) for s in ((16, 12, 12, 32), (32, 12, 12, 32)))
    shapes = {"conv2d_wgrad": (x.shape, dy.shape, (16, 3, 3, 32)), "bias_grad": (dy.shape, (32,))}

    def run(self, op, dtype, **workspace):
        x, dy = self.x.astype(DTYPES[dtype]), self.dy.astype(DTYPES[dtype])
        with ops.backend("emulated"):
            if op == "bias_grad":
                return ops.bias_grad(dy, **workspace)
            where = {"stride": 1, "pad": 1, "groups": 1, "ceil_mode": False}
            return ops.conv2d_wgrad(x, dy, (16, 3, 3, 32), **where, **workspace)

    @pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
    @pytest.mark.parametrize("op", shapes)
    def test_it_changes_no_bits(self, op, dtype):
        wanted = ops.workspace_bytes(op, *self.shapes[op], dtype=dtype, backend="emulated")
        assert wanted > 0
        if dtype == "float32":  # in bfloat16 it is the GPU's business
            assert wanted == ops.workspace_bytes(op, *self.shapes[op], dtype=dtype, backend="cuda")
        poisoned = np.full(wanted + 8, 0xFF, np.uint8)
        np.testing.assert_array_equal(self.run(op, dtype, workspace=poisoned[:wanted]), self.run(op, dtype))
        assert (poisoned[wanted:] == 0xFF).all()

    @pytest.mark.parametrize("op", shapes)
    def test_one_that_is_too_small_or_at_a_bad_address(self, op):
        wanted = ops.workspace_bytes(op, *self.shapes[op], dtype="float32", backend="emulated")
        with pytest.raises(ValueError, match=f"{op}: argument 'workspace': got 8 bytes, wanted {wanted}"):
            self.run(op, "float32", workspace=np.empty(8, np.uint8))
        with pytest.raises(ValueError, match="is not a multiple of 4"):
            self.run(op, "float32", workspace=np.empty(wanted + 1, np.uint8)[1:])

    def test_sizes_are_known_before_anything_runs(self):
        x, dy, dw = (96, 27, 27, 128), (256, 27, 27, 128), (48, 5, 5, 256)
        wgrad = ops.workspace_bytes("conv2d_wgrad", x, dy, dw, dtype="float32", backend="cuda")
        assert wgrad == 66 * 48 * 5 * 5 * 256 * 4
        with pytest.raises(ValueError, match="got 2 shapes for conv2d_wgrad, wanted 3"):
            ops.workspace_bytes("conv2d_wgrad", x, dy, dtype="float32", backend="cuda")
        with pytest.raises(ValueError, match="do not fit each other"):
            ops.workspace_bytes("conv2d_wgrad", dy, x, dw, dtype="float32", backend="cuda")
        with pytest.raises(TypeError, match="computes in float32 and bfloat16, got float64"):
            ops.workspace_bytes("conv2d_wgrad", x, dy, dw, dtype="float64", backend="cuda")


# What a batch of 128 gets on an H200, by layer: forward, input gradient, filter gradient.
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    "case, tiles",
    [
        (ConvCase("conv1", (3, 227, 227, 128), (3, 11, 11, 96), stride=4), ("3025 tiles of 96", None, "3 tiles of 96")),
        (
            ConvCase("conv2", (96, 27, 27, 128), (48, 5, 5, 256), pad=2, groups=2),
            ("1458 tiles of 128", "1458 tiles of 64", "20 tiles of 128"),
        ),
        (
            ConvCase("conv3", (256, 13, 13, 128), (256, 3, 3, 384), pad=1),
            ("507 tiles of 128", "338 tiles of 128", "54 tiles of 128"),
        ),
        (
            ConvCase("conv4", (384, 13, 13, 128), (192, 3, 3, 384), pad=1, groups=2),
            ("1014 tiles of 64", "1014 tiles of 64", "56 tiles of 96"),
        ),
        (
            ConvCase("conv5", (384, 13, 13, 128), (192, 3, 3, 256), pad=1, groups=2),
            ("338 tiles of 128", "1014 tiles of 64", "28 tiles of 128"),
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_launch_can_be_printed_without_a_gpu(module, case, tiles):
    for name, wanted in zip(PASSES, tiles, strict=True):
        if wanted is not None:
            text = choice(module, name, case, True)
            assert text.startswith(f"{wanted}x128, ") and text.endswith("reads of 16 bytes")


def test_what_the_kernels_cannot_take_is_refused_before_a_launch():
    with pytest.raises(ValueError, match="do not fit each other"):
        EMULATED.choose_conv_fprop((3, 4, 4, 1), (2, 3, 3, 4), (4, 2, 2, 1), (1, 1), (0, 0), 1, True, "float32")
    with pytest.raises(ValueError, match="every size and stride must be at least 1"):
        EMULATED.choose_conv_dgrad((3, 4, 4, 1), (3, 3, 3, 4), (4, 2, 2, 1), (0, 1), (0, 0), 1, True, "float32")
    options = {"stride": (1, 1), "pad": (0, 0), "groups": 1, "relu": False, "where": (-1, 0)}
    for dtype in ("float32", "bfloat16"):
        with pytest.raises(ValueError, match="a window that covers no pixel"):
            EMULATED.conv_fprop(64, 64, 0, 64, (1, 2, 2, 1), (1, 1, 1, 1), (1, 9, 2, 1), dtype=dtype, **options)
        huge = (1, 32768, 65536, 1)
        with pytest.raises(ValueError, match="use a smaller batch"):
            EMULATED.conv_fprop(64, 64, 0, 64, huge, (1, 1, 1, 1), huge, dtype=dtype, **options)
    with pytest.raises(ValueError, match="dtype: got float16, wanted float32 or bfloat16"):
        EMULATED.conv_fprop(64, 64, 0, 64, huge, (1, 1, 1, 1), huge, dtype="float16", **options)
