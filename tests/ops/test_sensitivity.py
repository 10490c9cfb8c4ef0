"""A bound that would let a dropped product through proves nothing: here every case drops one and must fail
(of the products of fc6 and fc7, which are large, the one with the longest sums).

One element of one input is set to zero, which takes one product (or one term) out of the sums it belongs to. The
reference of the damaged inputs then has to lie outside the bounds of the whole ones.
"""

import numpy as np
import pytest
from tables import DTYPES, OPERATIONS, drawn, parameters

from alexnet_cuda.checks.compare import compare
from alexnet_cuda.checks.table import FLOAT32_UNIT, TENSOR_CORE_UNIT

# The arrays whose elements enter sums or products; tables of pointwise operations have no sums to lose a term of.
SUMMED = {
    "conv2d": ("x", "w", "b"),
    "conv2d_dgrad": ("dy", "w"),
    "conv2d_wgrad": ("x", "dy"),
    "conv2d_wgrad_db": ("x", "dy"),
    "conv2d_wgrad_sgd": ("x", "dy", "w", "v", "b", "b_v"),
    "bias_grad": ("dy",),
    "gemm": ("a", "b", "bias", "out"),
    "gemm_sgd": ("x", "dy", "w", "v"),
    "lrn": ("x",),
    "lrn_backward": ("x", "dy"),
    "lrn_within_channel": ("x",),
    "lrn_within_channel_backward": ("x", "dy"),
    "max_pool_backward": ("dy",),
    "avg_pool": ("x",),
    "avg_pool_backward": ("dy",),
    "global_avg_pool": ("x",),
    "softmax": ("logits",),
    "softmax_cross_entropy": ("logits",),
    "sgd_momentum": ("w", "v", "dw"),
}

FUSED = ("conv2d_wgrad_sgd", "gemm_sgd")  # what they sum has no influence where the update has none

# (operation, case, argument) where the argument has no influence on any result.
WITHOUT_EFFECT = {
    ("lrn_backward", "alpha 0", "x"),
    ("lrn_within_channel_backward", "alpha 0", "x"),
    ("softmax_cross_entropy", "one class", "logits"),
    ("softmax_cross_entropy", "only padding", "logits"),
    ("sgd_momentum", "no momentum, no decay", "v"),
    ("sgd_momentum", "frozen", "dw"),
    ("sgd_momentum", "loss not finite", "dw"),
    *((name, case, x) for name in FUSED for case in ("frozen", "loss not finite") for x in ("x", "dy")),
}


# fc6 forward has the longest sums of the fully connected layers, where a product shows least.
REPEATED = [f"alexnet_2012 {layer}" for layer in ("fc6 input gradient", "fc6 weight gradient", "fc7")]
DROPPED = [each for each in parameters(*SUMMED) if not each.values[1].name.startswith(tuple(REPEATED))]


@pytest.mark.parametrize("operation, case", DROPPED)
def test_a_dropped_product_is_noticed(operation, case):
    kwargs = drawn(operation, case, "normal").cast(DTYPES["float32"])
    whole = operation.reference(kwargs)
    results = tuple(np.asarray(w, np.float32) if w.dtype.kind == "f" else w for w in whole)
    unit = TENSOR_CORE_UNIT if operation.tensor_cores else FLOAT32_UNIT  # the wider bound, where there are two
    bounds = operation.bounds(kwargs, results, unit)
    for name in SUMMED[operation.name]:
        if kwargs.get(name) is None:
            continue
        damaged = _first_damage_with_an_effect(operation, case, kwargs, name, whole)
        if damaged is None:
            assert (operation.name, case.name, name) in WITHOUT_EFFECT
            continue
        assert _noticed(damaged, whole, bounds), f"{operation.name}, case {case.name!r} hides a product of '{name}'"


@pytest.mark.parametrize("operation, case", parameters(*(name for name in OPERATIONS if name.startswith("lrn"))))
def test_a_window_without_one_neighbour_is_noticed(operation, case):
    # A zeroed x of a normalisation changes its own result most; here its neighbours' sums lose a term instead.
    kwargs = drawn(operation, case, "normal").cast(DTYPES["float32"])
    whole = operation.reference(kwargs)
    bounds = operation.bounds(kwargs, tuple(w.astype(np.float32) for w in whole))
    for size in range(case.size - 1, 0, -1):  # a window that reaches far past the edges loses nothing at first
        narrower = operation.reference({**kwargs, "size": size})
        if (narrower[0] != whole[0]).any():
            assert _noticed(narrower, whole, bounds)
            return
    assert case.name in ("window of 1", "alpha 0", "one channel", "one pixel")  # these have no neighbours


def _noticed(damaged, whole, bounds):
    return any(not compare(d, w, bound).passed for d, w, bound in zip(damaged, whole, bounds, strict=True))


def _first_damage_with_an_effect(operation, case, kwargs, name, whole):
    """Results without one term of typical size; the first of a few terms whose loss makes any difference."""
    array = kwargs[name]
    sizes = np.abs(array.ravel())
    candidates = np.argsort(np.abs(sizes - np.median(sizes)))
    if name == "logits":  # a term is lost by a logit of -inf; a label's own would make the loss infinite
        # Where exp spans hundreds of decades, only the largest terms exist at all.
        typical = array.max() if case.spread > 1 else np.median(array)
        candidates = np.argsort(np.abs(array.ravel() - typical))
        labels = kwargs.get("labels", np.full(array.shape[1], -1))
        candidates = [i for i in candidates if labels[i % array.shape[1]] != i // array.shape[1]]
    for i in candidates[:: max(1, len(candidates) // 6)][:6]:
        damage = array.copy()
        damage.flat[i] = -np.inf if name == "logits" else 0
        damaged = operation.reference({**kwargs, name: damage})
        if any((d != w).any() for d, w in zip(damaged, whole, strict=True)):
            return damaged
    return None


def test_the_operations_left_out_have_no_sums():
    exact_or_pointwise = {
        "relu", "relu_backward", "add", "scale", "tanh", "tanh_backward", "sigmoid", "sigmoid_backward", "dropout",
        "dropout_backward", "max_pool", "min_pool", "augment",
    }  # fmt: skip
    assert set(OPERATIONS) - set(SUMMED) == exact_or_pointwise
