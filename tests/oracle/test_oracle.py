"""The oracle's windowed operations and gemm against hand-made numbers, adjoints and central differences."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

import oracle

NAN, INF = math.nan, math.inf


def image(rows: list[list[float]]) -> np.ndarray:
    """One map of one image as [1, H, W, 1]."""
    return np.array(rows, dtype=np.float32)[None, :, :, None]


def rows_of(x: np.ndarray) -> list[list[float]]:
    """The only map of the only image."""
    assert x.shape[0] == x.shape[3] == 1
    return x[0, :, :, 0].tolist()


def normal(*shape: int) -> np.ndarray:
    """Reproducible normal numbers, a different array for every shape."""
    return np.random.default_rng(shape).normal(size=shape)


def test_oracle_imports_nothing_but_numpy_and_the_standard_library() -> None:
    folder = Path(oracle.__file__).parent
    modules = [path for path in folder.glob("*.py") if not path.name.startswith("test_")]
    roots = set()
    for node in (node for path in modules for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            roots.add(str(node.module).split(".")[0])
    assert len(modules) == 13
    assert roots <= {"numpy", "math", "typing", "collections"}


# size, window, stride, pad, ceil_mode -> leading pad, number of windows
GEOMETRY = [
    ((224, 11, 4, 0, True), (0, 55)),
    ((224, 11, 4, 0, False), (0, 54)),
    ((224, 11, 4, 2, False), (2, 55)),
    ((227, 11, 4, 0, False), (0, 55)),
    ((227, 11, 4, "valid", True), (0, 55)),
    ((55, 3, 2, 0, False), (0, 27)),
    ((27, 3, 2, 0, False), (0, 13)),
    ((13, 3, 2, 0, False), (0, 6)),
    ((27, 5, 1, 2, False), (2, 27)),
    ((13, 3, 1, 1, False), (1, 13)),
    ((6, 3, 2, 0, False), (0, 2)),
    ((6, 3, 2, 0, True), (0, 3)),
    ((5, 3, 1, "same", False), (1, 5)),
    ((5, 2, 1, "same", False), (0, 5)),
    ((5, 4, 1, "same", False), (1, 5)),
    ((224, 11, 4, "same", True), (3, 56)),
    ((7, 1, 3, "same", False), (0, 3)),
]


@pytest.mark.parametrize(("args", "wanted"), GEOMETRY)
def test_axis_geometry(args: tuple, wanted: tuple[int, int]) -> None:
    assert oracle.axis_geometry(*args) == wanted


BAD_GEOMETRY = {
    "stride 0": (5, 3, 0, 0, False),
    "negative pad": (5, 3, 1, -1, False),
    "larger than the image": (2, 5, 1, 1, False),
    "larger than the image, ceil": (2, 3, 2, 0, True),
    "first window all padding": (5, 2, 1, 2, False),
    "last window past the edge": (3, 1, 4, 0, True),
}


@pytest.mark.parametrize("args", BAD_GEOMETRY.values(), ids=BAD_GEOMETRY.keys())
def test_bad_geometry_is_refused(args: tuple) -> None:
    with pytest.raises(ValueError):
        oracle.axis_geometry(*args)


def test_windows_list_real_pixels_in_raster_order() -> None:
    places = list(oracle.windows((2, 3), (2, 2), stride=(2, 1), pad=(1, 0)))
    assert oracle.out_shape((2, 3), (2, 2), stride=(2, 1), pad=(1, 0)) == (2, 2)
    assert places == [
        (0, 0, [(1, 0, 0, 0), (1, 1, 0, 1)]),
        (0, 1, [(1, 0, 0, 1), (1, 1, 0, 2)]),
        (1, 0, [(0, 0, 1, 0), (0, 1, 1, 1)]),
        (1, 1, [(0, 0, 1, 1), (0, 1, 1, 2)]),
    ]


def test_conv2d_is_correlation() -> None:
    x, w = image([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), image([[1, 2], [3, 4]])
    assert rows_of(oracle.conv2d(x, w)) == [[37, 47], [67, 77]]


def test_conv2d_three_by_three_padded_with_bias_and_relu() -> None:
    x, w = image([[1, 2], [3, 4]]), image([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    # 5*1 + 6*2 + 8*3 + 9*4,  4*1 + 5*2 + 7*3 + 8*4,  2*1 + 3*2 + 5*3 + 6*4,  1*1 + 2*2 + 4*3 + 5*4
    assert rows_of(oracle.conv2d(x, w, pad=1)) == [[77, 67], [47, 37]]
    assert rows_of(oracle.conv2d(x, w, [-50], pad=1, relu=True)) == [[27, 17], [0, 0]]
    assert rows_of(oracle.conv2d(x, w, pad="same")) == [[77, 67], [47, 37]]
    assert np.isnan(oracle.conv2d(x, w, [NAN], pad=1, relu=True)).all()


def test_conv2d_even_same_pads_the_trailing_edge() -> None:
    x, w = image([[1, 2, 3]]), image([[10, 1]])
    assert rows_of(oracle.conv2d(x, w, pad="same")) == [[12, 23, 30]]


def test_conv2d_ceil_windows_read_zeros_past_the_edge() -> None:
    x, w = image([[1, 2, 3, 4]]), image([[100, 10, 1]])
    assert rows_of(oracle.conv2d(x, w, stride=(1, 2))) == [[123]]
    assert rows_of(oracle.conv2d(x, w, stride=(1, 2), ceil_mode=True)) == [[123, 340]]


def test_conv2d_groups_keep_to_their_channels() -> None:
    x = np.array([1.0, 10, 100, 1000]).reshape(4, 1, 1, 1)
    w = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]).reshape(2, 1, 1, 4)
    # filters 0, 1 see channels 0, 1; filters 2, 3 see channels 2, 3
    assert oracle.conv2d(x, w, groups=2).ravel().tolist() == [51, 62, 7300, 8400]
    with pytest.raises(ValueError):
        oracle.conv2d(x, w, groups=4)


def test_conv2d_gradients_by_hand() -> None:
    x, w, dy = image([[1, 2, 3]]), image([[10, 100]]), image([[1, 2]])
    assert rows_of(oracle.conv2d_dgrad(dy, w, x.shape)) == [[10, 120, 200]]
    assert rows_of(oracle.conv2d_dgrad(dy, w, x.shape, relu_y=image([[0, NAN, -1]]))) == [[0, 120, 0]]
    assert rows_of(oracle.conv2d_wgrad(x, dy, w.shape)) == [[5, 8]]


GEOMETRIES = [{}, {"stride": (2, 1), "pad": (2, 1)}, {"stride": 2, "ceil_mode": True}]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_conv2d_gradients_are_adjoints(geometry: dict) -> None:
    x, w = normal(4, 6, 5, 2), normal(2, 3, 2, 6)
    y = oracle.conv2d(x, w, groups=2, **geometry)
    dy = normal(*y.shape)
    dx = oracle.conv2d_dgrad(dy, w, x.shape, groups=2, **geometry)
    dw = oracle.conv2d_wgrad(x, dy, w.shape, groups=2, **geometry)
    assert (dy * y).sum() == pytest.approx((dx * x).sum(), rel=1e-12)
    assert (dy * y).sum() == pytest.approx((dw * w).sum(), rel=1e-12)


def test_bias_grad() -> None:
    assert oracle.bias_grad([[1, 2, 3], [4, 5, 6]]).tolist() == [6, 15]
    assert oracle.bias_grad(np.arange(8).reshape(2, 1, 2, 2)).tolist() == [6, 22]


def test_gemm() -> None:
    a, b, product = [[1, 2], [3, 4], [5, 6]], [[1, 10], [100, 1000]], [[201, 2010], [403, 4030], [605, 6050]]
    assert oracle.gemm(a, b).tolist() == product
    assert oracle.gemm(np.transpose(a), b, trans_a=True).tolist() == product
    assert oracle.gemm(a, np.transpose(b), trans_b=True).tolist() == product
    c = [[1, 2], [3, 4], [5, 6]]
    # 2*201 + 3*1 - 406 = -1,  2*2010 + 3*2 - 406,  2*403 + 3*3 - 8, ...
    y = oracle.gemm(a, b, alpha=2, beta=3, c=c, bias=[-406, -8, -5], relu=True)
    assert y.tolist() == [[0, 3620], [807, 8064], [1220, 12113]]
    assert oracle.gemm(a, b, c=np.full((3, 2), NAN)).tolist() == product


def test_lrn_of_three_channels() -> None:
    x = np.array([1.0, 2, 3]).reshape(3, 1, 1, 1)

    def normalised(**params: float) -> list[float]:
        return oracle.lrn(x, alpha=1, **params).ravel().tolist()

    # s = 2+1+4, 2+1+4+9, 2+4+9
    assert normalised(size=3, beta=1, k=2) == pytest.approx([1 / 7, 2 / 16, 3 / 15])
    assert normalised(size=3, beta=0.5, k=2) == pytest.approx([1 / 7**0.5, 2 / 4, 3 / 15**0.5])
    # an even window [c-1, c+1): s = 2+1, 2+1+4, 2+4+9
    assert normalised(size=2, beta=1, k=2) == pytest.approx([1 / 3, 2 / 7, 3 / 15])
    assert normalised(size=3, beta=1, k=2, groups=3) == pytest.approx([1 / 3, 2 / 6, 3 / 11])


def test_lrn_within_channel_by_hand() -> None:
    x = image([[1, 2], [3, 4]])
    y = oracle.lrn_within_channel(x, size=2, alpha=1, beta=1, k=1)
    assert np.allclose(rows_of(y), [[1 / 2, 2 / 6], [3 / 11, 4 / 31]], rtol=1e-14)
    assert np.allclose(
        rows_of(oracle.lrn_within_channel(x, size=3, alpha=1, beta=1, k=1)),
        [[1 / 31, 2 / 31], [3 / 31, 4 / 31]],
    )


def test_lrn_defaults_are_the_papers() -> None:
    assert oracle.lrn(np.full((1, 1, 1, 1), 100.0)).item() == pytest.approx(100 / 3**0.75)
    assert oracle.lrn_within_channel(np.full((1, 1, 1, 1), 100.0)).item() == pytest.approx(100 / 3**0.75)


def test_lrn_backward_by_hand() -> None:
    # y = x / (1 + x^2), dy/dx = (1 - x^2) / (1 + x^2)^2
    x, dy = np.full((1, 1, 1, 1), 2.0), np.full((1, 1, 1, 1), 5.0)
    assert oracle.lrn_backward(x, dy, size=1, alpha=1, beta=1, k=1).item() == pytest.approx(-0.6)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_lrn_gradients(size: int) -> None:
    params = {"size": size, "alpha": 0.3, "beta": 0.75, "k": 1.5}
    x, dy = normal(6, 3, 2, 2), normal(6, 3, 2, 2)[::-1]
    dx = oracle.lrn_backward(x, dy, groups=2, **params)
    wanted = oracle.central_differences(lambda v: oracle.lrn(v, groups=2, **params), x, dy)
    assert np.allclose(dx, wanted, atol=1e-8)
    dx = oracle.lrn_within_channel_backward(x, dy, **params)
    wanted = oracle.central_differences(lambda v: oracle.lrn_within_channel(v, **params), x, dy)
    assert np.allclose(dx, wanted, atol=1e-8)


MAX_POOL = [  # a 2x2 window, its maximum and the first tap holding it
    ([[1, 2], [3, 4]], 4, 3),
    ([[5, 5], [5, 5]], 5, 0),
    ([[1, 7], [7, 7]], 7, 1),
    ([[NAN, 9], [NAN, 1]], NAN, 0),
    ([[9, 1], [NAN, NAN]], NAN, 2),
    ([[INF, NAN], [1, 1]], NAN, 1),
    ([[-INF, -INF], [-INF, -INF]], -INF, 0),
    ([[-INF, -INF], [-3, -2]], -2, 3),
]


@pytest.mark.parametrize(("window", "maximum", "tap"), MAX_POOL)
def test_max_pool_of_one_window(window: list[list[float]], maximum: float, tap: int) -> None:
    y, arg = oracle.max_pool(image(window), size=2)
    assert np.array_equal(y.ravel(), [maximum], equal_nan=True)
    assert arg.ravel().tolist() == [tap]


def test_max_pool_padding_is_nothing() -> None:
    # The corner of the first window lies in the padding: its only pixel is tap 3, even at -inf.
    x = image([[-INF, -5], [-6, -7]])
    y, arg = oracle.max_pool(x, size=2, stride=2, pad=1)
    assert rows_of(y) == [[-INF, -5], [-6, -7]]
    assert rows_of(arg) == [[3, 2], [1, 0]]
    y, arg = oracle.max_pool(image([[1, 2, 3, 4]]), size=(1, 3), stride=(1, 2), ceil_mode=True)
    assert (rows_of(y), rows_of(arg), arg.dtype) == ([[3, 4]], [[2, 1]], np.uint8)
    assert oracle.max_pool(normal(1, 17, 17, 1), size=16)[1].dtype == np.uint8
    assert oracle.max_pool(normal(1, 17, 17, 1), size=17)[1].dtype == np.uint16


def test_max_pool_backward_adds_where_windows_overlap() -> None:
    x = image([[1, 2, 9, 4, 5]])
    geometry = {"size": (1, 3), "stride": (1, 2)}
    y, arg = oracle.max_pool(x, **geometry)
    assert rows_of(arg) == [[2, 0]]
    for first in (10, INF):
        dx = oracle.max_pool_backward(image([[first, 7]]), arg, x.shape, **geometry)
        assert rows_of(dx) == [[0, 0, first + 7, 0, 0]]
    with pytest.raises(KeyError):
        oracle.max_pool_backward(image([[10, 7]]), arg + 3, x.shape, **geometry)


def test_avg_pool_divides_by_real_pixels() -> None:
    x = image([[1, 2, 3, 4]])
    geometry = {"size": (1, 3), "stride": (1, 2), "ceil_mode": True}
    assert rows_of(oracle.avg_pool(x, **geometry)) == [[2, 3.5]]
    assert rows_of(oracle.avg_pool_backward(image([[3, 8]]), x.shape, **geometry)) == [[1, 1, 5, 4]]
    assert rows_of(oracle.avg_pool(image([[1, 2], [3, 4]]), size=2, stride=1, pad=1)) == [
        [1, 1.5, 2],
        [2, 2.5, 3],
        [3, 3.5, 4],
    ]


def test_pools_keep_channels_and_images_apart() -> None:
    x, geometry = normal(3, 5, 7, 2), {"size": (3, 2), "stride": (2, 3), "pad": (1, 0), "ceil_mode": True}
    y, arg = oracle.max_pool(x, **geometry)
    dy = normal(*y.shape)
    dx = oracle.max_pool_backward(dy, arg, x.shape, **geometry)
    wanted = oracle.central_differences(lambda v: oracle.max_pool(v, **geometry)[0], x, dy)
    assert np.allclose(dx, wanted, atol=1e-8)
    dx = oracle.avg_pool_backward(dy, x.shape, **geometry)
    wanted = oracle.central_differences(lambda v: oracle.avg_pool(v, **geometry), x, dy)
    assert np.allclose(dx, wanted, atol=1e-8)
