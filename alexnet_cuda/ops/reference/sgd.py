"""The update, alone and along with the gradients that it takes."""

import numpy as np

from .conv import bias_grad, conv2d_wgrad
from .gemm import gemm


def sgd_momentum(w, v, dw, *, lr, momentum, weight_decay, w_bf16, state):
    """In place: v = momentum*v - weight_decay*lr*w - lr*dw; w += v (the paper, section 5)."""
    if state is not None:
        if state[1] == 0:  # the loss was not finite: leave the weights alone
            return
        lr = lr * float(state[2:3].view(np.float32)[0])
    lr, momentum, weight_decay = (w.dtype.type(value) for value in (lr, momentum, weight_decay))
    v[...] = momentum * v - weight_decay * lr * w - lr * dw
    w += v
    if w_bf16 is not None:
        w_bf16[...] = w


def conv2d_wgrad_sgd(
    x, dy, w, v, b, b_v, *, stride, pad, groups, lr, momentum, weight_decay, b_lr, b_weight_decay, w_bf16, state,
    workspace=None,
):  # fmt: skip
    dw = np.empty_like(w)
    conv2d_wgrad(x, dy, stride=stride, pad=pad, groups=groups, out=dw)
    sgd_momentum(w, v, dw, lr=lr, momentum=momentum, weight_decay=weight_decay, w_bf16=w_bf16, state=state)
    if b is not None:
        db = np.empty_like(b)
        bias_grad(dy, out=db)
        sgd_momentum(b, b_v, db, lr=b_lr, momentum=momentum, weight_decay=b_weight_decay, w_bf16=None, state=state)


def gemm_sgd(x, dy, w, v, *, lr, momentum, weight_decay, w_bf16, state, workspace=None):
    dw = np.empty_like(w)
    gemm(x, dy, None, trans_a=False, trans_b=True, alpha=1, beta=0, relu=False, out=dw)
    sgd_momentum(w, v, dw, lr=lr, momentum=momentum, weight_decay=weight_decay, w_bf16=w_bf16, state=state)
