"""What the oracle says a call of the public operation must give: the bridge between two separate worlds."""

from typing import Any

import numpy as np
import oracle

Results = tuple[np.ndarray, ...]


def expected(name: str, kwargs: dict[str, Any]) -> Results:
    """The oracle's results for the arguments of `ops.<name>`, in float64 or integers."""
    call = SPECIAL.get(name) or getattr(oracle, name)
    results = call(**kwargs)
    return tuple(np.asarray(r) for r in (results if isinstance(results, tuple) else (results,)))


def _gemm(**kwargs: Any) -> np.ndarray:
    kwargs["c"] = kwargs.pop("out", None)
    return oracle.gemm(**kwargs)


def _augment(**kwargs: Any) -> np.ndarray:
    kwargs.pop("dtype")
    return oracle.augment(**kwargs)


def _min_pool(x: np.ndarray, **geometry: Any) -> Results:
    """Smallest pixel and its first position, through the oracle's windows."""
    y, arg = oracle.max_pool(-x.astype(np.float64), **geometry)
    return -y, arg


def _global_avg_pool(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64).mean(axis=(1, 2), keepdims=True)


def _dropout_backward(dy: np.ndarray, **draw: Any) -> np.ndarray:
    return oracle.dropout(dy, **draw)


def _sgd_momentum(w_bf16: np.ndarray, **kwargs: Any) -> Results:
    return _with_copy(*oracle.sgd_momentum(**kwargs), w_bf16, kwargs["state"])


def _conv2d_wgrad_sgd(w_bf16: np.ndarray, **kwargs: Any) -> Results:
    w, v, b, b_v = oracle.conv2d_wgrad_sgd(**kwargs)
    return *_with_copy(w, v, w_bf16, kwargs["state"]), b, b_v


def _gemm_sgd(w_bf16: np.ndarray, **kwargs: Any) -> Results:
    return _with_copy(*oracle.gemm_sgd(**kwargs), w_bf16, kwargs["state"])


def _with_copy(w: np.ndarray, v: np.ndarray, w_bf16: np.ndarray, state: np.ndarray | None) -> Results:
    skipped = state is not None and not state[1]
    return w, v, w_bf16 if skipped else w.astype(w_bf16.dtype)


# Where the two signatures differ, or the oracle has no such function because it is a composition.
SPECIAL = {
    "gemm": _gemm,
    "augment": _augment,
    "min_pool": _min_pool,
    "global_avg_pool": _global_avg_pool,
    "dropout_backward": _dropout_backward,
    "sgd_momentum": _sgd_momentum,
    "conv2d_wgrad_sgd": _conv2d_wgrad_sgd,
    "gemm_sgd": _gemm_sgd,
}
