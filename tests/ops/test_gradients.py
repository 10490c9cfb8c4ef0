"""Level 3: gradients against central differences, and against the forward operation as its adjoint."""

import numpy as np
import oracle
import pytest
from tables import DTYPES, OPERATIONS, drawn, is_large

from alexnet_cuda import ops

BACKENDS = ("reference", "cpu")


def small(name: str, limit: int = 400) -> list:
    """Cases whose first input is small enough to be changed one element at a time."""
    operation = OPERATIONS[name]
    cases = [case for case in operation.cases if not is_large(case)]
    inputs = [next(iter(drawn(operation, case, "normal").cast(DTYPES["float64"]).values())) for case in cases]
    chosen = [case for case, x in zip(cases, inputs, strict=True) if x.size <= limit]
    return [pytest.param(case, id=case.name) for case in chosen]


def arguments(name: str, case: object) -> dict:
    return drawn(OPERATIONS[name], case, "normal").cast(DTYPES["float64"])


def random_like(x: np.ndarray) -> np.ndarray:
    return np.random.default_rng(x.size).standard_normal(x.shape)


def assert_gradient(got: np.ndarray, f, x: np.ndarray, dy: np.ndarray) -> None:
    """Central differences have an error of about the cube root of the rounding unit, squared: 1e-9 relative."""
    want = oracle.central_differences(f, x, dy)
    scale = np.abs(want).max() + np.abs(dy).max()
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", small("conv2d"))
def test_conv2d_gradients(case, backend):
    a = {**arguments("conv2d", case), "relu": False}
    x, w = a.pop("x"), a.pop("w")
    b = a.pop("b", np.zeros(w.shape[3]))
    geometry = case.window_parameters
    with ops.backend(backend):
        dy = random_like(ops.conv2d(x, w, b, **a))
        dx = ops.conv2d_dgrad(dy, w, x.shape, **geometry)
        dw = ops.conv2d_wgrad(x, dy, w.shape, **geometry)
        db = ops.bias_grad(dy)
        assert [g.tobytes() for g in ops.conv2d_wgrad_db(x, dy, w.shape, **geometry)] == [dw.tobytes(), db.tobytes()]
    with ops.backend("reference"):
        if w.size <= 400:
            assert_gradient(dw, lambda w: ops.conv2d(x, w, b, **a), w, dy)
        assert_gradient(dx, lambda x: ops.conv2d(x, w, b, **a), x, dy)
        assert_gradient(db, lambda b: ops.conv2d(x, w, b, **a), b, dy)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in OPERATIONS["conv2d"].cases if not is_large(c)])
def test_conv2d_and_its_gradients_are_adjoints(case, backend):
    """<dy, conv(x, w)> = <dgrad(dy, w), x> = <wgrad(x, dy), w>: one sum, taken in three orders."""
    a = arguments("conv2d", case)
    x, w, geometry = a["x"], a["w"], case.window_parameters
    with ops.backend(backend):
        y = ops.conv2d(x, w, **geometry)
        dy = random_like(y)
        through_x = (ops.conv2d_dgrad(dy, w, x.shape, **geometry) * x).sum()
        through_w = (ops.conv2d_wgrad(x, dy, w.shape, **geometry) * w).sum()
        size = (ops.conv2d(np.abs(x), np.abs(w), **geometry) * np.abs(dy)).sum()
    assert abs((dy * y).sum() - through_x) <= 1e-12 * size
    assert abs((dy * y).sum() - through_w) <= 1e-12 * size


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ("lrn", "lrn_within_channel"))
def test_normalisation_gradients(name, backend):
    for case in (c.values[0] for c in small(f"{name}_backward", limit=250)):
        a = arguments(f"{name}_backward", case)
        x, dy = a.pop("x"), a.pop("dy")
        with ops.backend(backend):
            dx = getattr(ops, f"{name}_backward")(x, dy, **a)
        with ops.backend("reference"):
            assert_gradient(dx, lambda x, a=a: getattr(ops, name)(x, **a), x, dy)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", small("max_pool"))
def test_max_pool_gradient(case, backend):
    # Distinct values, 1 apart, have no ties and no kink within the step of the differences.
    x = np.random.default_rng(3).permutation(np.prod(case.x)).astype(np.float64).reshape(case.x)
    with ops.backend(backend):
        y, arg = ops.max_pool(x, **case.window_parameters)
        dy = random_like(y)
        dx = ops.max_pool_backward(dy, arg, x.shape, **case.window_parameters)
    with ops.backend("reference"):
        assert_gradient(dx, lambda x: ops.max_pool(x, **case.window_parameters)[0], x, dy)


@pytest.mark.parametrize("case", small("min_pool", limit=200))
def test_min_pool_shares_max_pools_backward(case):
    x = np.random.default_rng(3).permutation(np.prod(case.x)).astype(np.float64).reshape(case.x)
    y, arg = ops.min_pool(x, **case.window_parameters)
    dy = random_like(y)
    dx = ops.max_pool_backward(dy, arg, x.shape, **case.window_parameters)
    assert_gradient(dx, lambda x: ops.min_pool(x, **case.window_parameters)[0], x, dy)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", small("avg_pool"))
def test_avg_pool_gradient(case, backend):
    x = arguments("avg_pool", case)["x"]
    with ops.backend(backend):
        dy = random_like(ops.avg_pool(x, **case.window_parameters))
        dx = ops.avg_pool_backward(dy, x.shape, **case.window_parameters)
    with ops.backend("reference"):
        assert_gradient(dx, lambda x: ops.avg_pool(x, **case.window_parameters), x, dy)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ("relu", "tanh", "sigmoid"))
def test_pointwise_gradients_from_the_output(name, backend):
    x = np.linspace(-3, 3, 50)  # no element within a step of relu's kink at 0
    dy = random_like(x)
    with ops.backend(backend):
        y = getattr(ops, name)(x)
        dx = getattr(ops, f"{name}_backward")(dy, y)
        assert_gradient(dx, getattr(ops, name), x, dy)


@pytest.mark.parametrize("backend", BACKENDS)
def test_scale_is_its_own_gradient(backend):
    x = np.linspace(-3, 3, 50)
    dy = random_like(x)
    with ops.backend(backend):
        assert_gradient(ops.scale(dy, 0.3), lambda x: ops.scale(x, 0.3), x, dy)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("inverted", (True, False))
def test_dropout_gradient(backend, inverted):
    x = np.random.default_rng(0).standard_normal((9, 11))
    draw = {"keep": 0.6, "seed": 4, "step": 5, "layer": 6, "inverted": inverted}
    with ops.backend(backend):
        dy = random_like(x)
        assert_gradient(ops.dropout_backward(dy, **draw), lambda x: ops.dropout(x, **draw), x, dy)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("padding", (0, 2))
def test_loss_gradient(backend, padding):
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((7, 6))
    labels = rng.integers(0, 7, 6).astype(np.int32)
    labels[6 - padding :] = -1
    with ops.backend(backend):
        _, _, dlogits = ops.softmax_cross_entropy(logits, labels)
        assert_gradient(dlogits, lambda x: ops.softmax_cross_entropy(x, labels)[0], logits, np.ones(()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_fully_connected_gradients(backend):
    rng = np.random.default_rng(2)
    w, x, b = rng.standard_normal((6, 5)), rng.standard_normal((6, 4)), rng.standard_normal(5)
    with ops.backend(backend):
        dy = random_like(ops.gemm(w, x, trans_a=True, bias=b))
        assert_gradient(ops.gemm(w, dy), lambda x: ops.gemm(w, x, trans_a=True, bias=b), x, dy)
        assert_gradient(ops.gemm(x, dy, trans_b=True), lambda w: ops.gemm(w, x, trans_a=True, bias=b), w, dy)
        assert_gradient(ops.bias_grad(dy), lambda b: ops.gemm(w, x, trans_a=True, bias=b), b, dy)
