"""The update."""

import numpy as np


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
