"""Updates along with their gradients: what the gate refuses, before anything is changed."""

import numpy as np
import pytest

from alexnet_cuda import ops
from alexnet_cuda.ops.arrays import BFLOAT16

WHERE = {"stride": 1, "pad": 1, "groups": 1, "ceil_mode": False}
RATES = {"lr": 0.5, "momentum": 0.5, "weight_decay": 0.5}


def convolution(dtype=np.float32):
    """Arguments of conv2d_wgrad_sgd, all ones."""
    sums = np.float32 if dtype == BFLOAT16 else dtype
    arrays = {"x": (2, 4, 5, 3), "dy": (6, 4, 5, 3)}, {"w": (2, 3, 3, 6), "v": (2, 3, 3, 6), "b": (6,), "b_v": (6,)}
    given = [{name: np.ones(s, d) for name, s in a.items()} for a, d in zip(arrays, (dtype, sums), strict=True)]
    return {**given[0], **given[1], **WHERE, **RATES}


def product(dtype=np.float32):
    sums = np.float32 if dtype == BFLOAT16 else dtype
    arrays = {"x": (4, 3), "dy": (6, 3)}, {"w": (4, 6), "v": (4, 6)}
    given = [{name: np.ones(s, d) for name, s in a.items()} for a, d in zip(arrays, (dtype, sums), strict=True)]
    return {**given[0], **given[1], **RATES}


def refuses(operation, given, message, error=ValueError):
    before = {name: value.copy() for name, value in given.items() if isinstance(value, np.ndarray)}
    with pytest.raises(error, match=message):
        operation(**given)
    for name, array in before.items():
        np.testing.assert_array_equal(given[name], array)


@pytest.mark.parametrize("name, make", [("conv2d_wgrad_sgd", convolution), ("gemm_sgd", product)])
class TestBoth:
    def test_no_two_arrays_overlap(self, name, make):
        operation = getattr(ops, name)
        refuses(operation, {**(a := make()), "v": a["w"]}, "argument 'v': got memory that overlaps 'w'")
        a = make()
        memory = a["w"].reshape(-1).view(BFLOAT16)[: a["w"].size].reshape(a["w"].shape)
        refuses(operation, {**a, "w_bf16": memory}, "argument 'w_bf16': got memory that overlaps 'w'")
        a = make()
        refuses(
            operation, {**a, "workspace": a["x"].reshape(-1).view(np.uint8)}, "'workspace': got memory that overlaps"
        )

    def test_weights_are_kept_in_float32_for_bfloat16(self, name, make):
        a = make(BFLOAT16)
        getattr(ops, name)(**a)
        assert a["w"].dtype == np.float32 and (a["w"] != 1).all()
        refuses(
            getattr(ops, name), {**make(), "w": make(np.float64)["w"]}, "'w': got float64, wanted float32", TypeError
        )

    def test_shapes_follow_from_the_gradient(self, name, make):
        operation, a = getattr(ops, name), make()
        refuses(operation, {**a, "v": a["v"][:1].copy()}, "argument 'v': got")
        refuses(operation, {**a, "dy": a["dy"][..., :2].copy()}, "argument 'dy': got")
        refuses(operation, {**a, "w_bf16": np.ones(3, BFLOAT16)}, "argument 'w_bf16': got")

    @pytest.mark.parametrize("rate, value", [("lr", -1), ("momentum", 1.5), ("weight_decay", np.nan)])
    def test_rates_are_those_of_the_update(self, name, make, rate, value):
        refuses(getattr(ops, name), {**make(), rate: value}, f"{name}: argument '{rate}'")

    def test_a_state_can_turn_it_off(self, name, make):
        a = make()
        state = ops.step_state()
        state[1] = 0
        getattr(ops, name)(**a, state=state)
        assert all((a[key] == 1).all() for key in ("w", "v"))


def test_a_bias_comes_with_its_momentum():
    for missing in ("b", "b_v"):
        says = f"argument '{missing}': got None, wanted both b and its momentum b_v, or neither"
        refuses(ops.conv2d_wgrad_sgd, {**convolution(), missing: None}, says)
    refuses(
        ops.conv2d_wgrad_sgd, {**(a := convolution()), "b_v": a["b"]}, "argument 'b_v': got memory that overlaps 'b'"
    )
    for rate in ("b_lr", "b_weight_decay"):
        refuses(ops.conv2d_wgrad_sgd, {**convolution(), rate: -1}, f"argument '{rate}'")


def test_geometry_is_checked_as_in_the_forward_pass():
    a = convolution()
    refuses(ops.conv2d_wgrad_sgd, {**a, "groups": 2}, r"argument 'w': got shape \[2, 3, 3, 6\], wanted \[1, 3, 3, 6\]")
    refuses(ops.conv2d_wgrad_sgd, {**a, "stride": 2}, "argument 'dy': got")


def test_two_gradients_are_two_results():
    a = convolution()
    gradients = {**WHERE, "x": a["x"], "dy": a["dy"], "w_shape": a["w"].shape}
    dw, db = ops.conv2d_wgrad_db(**gradients)
    assert (dw.shape, db.shape) == (a["w"].shape, a["b"].shape)
    given = ops.conv2d_wgrad_db(**gradients, out=(dw, db))
    assert given[0] is dw and given[1] is db
    refuses(ops.conv2d_wgrad_db, {**gradients, "out": dw}, r"argument 'out': got a ndarray, wanted a tuple", TypeError)
    overlapping = (dw, dw.reshape(-1)[:6])
    refuses(ops.conv2d_wgrad_db, {**gradients, "out": overlapping}, "argument 'db': got memory that overlaps 'dw'")
