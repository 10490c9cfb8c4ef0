"""Gradients of parameters together, and with their update: compositions."""

import numpy as np

from .conv import Pair, bias_grad, conv2d_wgrad
from .gemm import gemm
from .pointwise import sgd_momentum


def conv2d_wgrad_db(
    x: np.ndarray, dy: np.ndarray, *, stride: Pair, pad: Pair, groups: int, out: tuple[np.ndarray, np.ndarray],
    workspace: object = None,
) -> None:  # fmt: skip
    dw, db = out
    conv2d_wgrad(x, dy, stride=stride, pad=pad, groups=groups, out=dw)
    bias_grad(dy, out=db)


def conv2d_wgrad_sgd(
    x: np.ndarray, dy: np.ndarray, w: np.ndarray, v: np.ndarray, b: np.ndarray | None, b_v: np.ndarray | None, *,
    stride: Pair, pad: Pair, groups: int, lr: float, momentum: float, weight_decay: float, b_lr: float,
    b_weight_decay: float, w_bf16: np.ndarray | None, state: np.ndarray | None, workspace: object = None,
) -> None:  # fmt: skip
    dw = np.empty(w.shape, w.dtype)
    conv2d_wgrad(x, dy, stride=stride, pad=pad, groups=groups, out=dw)
    sgd_momentum(w, v, dw, lr=lr, momentum=momentum, weight_decay=weight_decay, w_bf16=w_bf16, state=state)
    if b is not None and b_v is not None:
        db = np.empty(b.shape, b.dtype)
        bias_grad(dy, out=db)
        sgd_momentum(b, b_v, db, lr=b_lr, momentum=momentum, weight_decay=b_weight_decay, w_bf16=None, state=state)


def gemm_sgd(
    x: np.ndarray, dy: np.ndarray, w: np.ndarray, v: np.ndarray, *, lr: float, momentum: float, weight_decay: float,
    w_bf16: np.ndarray | None, state: np.ndarray | None, workspace: object = None,
) -> None:  # fmt: skip
    dw = np.empty(w.shape, w.dtype)
    gemm(x, dy, None, trans_a=False, trans_b=True, alpha=1, beta=0, relu=False, out=dw)
    sgd_momentum(w, v, dw, lr=lr, momentum=momentum, weight_decay=weight_decay, w_bf16=w_bf16, state=state)
