# ruff: noqa: F401  (a backend offers what it imports here)
"""The CPU training backend: NumPy, fast where the readable reference is slow, the reference itself elsewhere.

Convolution is matrix products in bounded memory, the other large operations work in cache-sized chunks, and both
use every core (the environment variable ALEXNET_THREADS says otherwise); the results have the same bits for any
number of these threads. Matrix products run on the threads of NumPy's BLAS, whose number may change the last bit.
Functions take what `alexnet_cuda.ops` hands to every backend, see `reference/__init__.py`.
"""

from ._cpu.conv import bias_grad, conv2d, conv2d_dgrad, conv2d_wgrad
from ._cpu.fused import conv2d_wgrad_db, conv2d_wgrad_sgd, gemm_sgd
from ._cpu.gemm import gemm
from ._cpu.lrn import lrn, lrn_backward, lrn_within_channel, lrn_within_channel_backward
from ._cpu.pointwise import (
    add,
    augment,
    dropout,
    dropout_backward,
    relu,
    relu_backward,
    scale,
    sgd_momentum,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from ._cpu.pool import avg_pool, avg_pool_backward, max_pool, max_pool_backward
from .reference import softmax, softmax_cross_entropy
