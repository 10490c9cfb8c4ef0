"""The operations of AlexNet: arrays in, arrays out.

Layouts, cuda-convnet's, here and everywhere in this package:

    activations              [C, H, W, N]            channel, row, column, image; the image index is the fastest
    filters                  [C/groups, R, S, K]     the filter index is the fastest
    fully connected weights  [inputs, outputs]       their activations are [features, N], which a flattened
                                                     [C, H, W, N] tensor already is
    logits                   [classes, N]

`from_nchw` and `to_nchw` convert. Arrays are C-contiguous NumPy or CuPy arrays, or other libraries' arrays through
DLPack; nothing is copied silently. dtypes are float32, bfloat16 (`ml_dtypes.bfloat16`; sums, biases, weight
gradients and losses are then float32) and, on the NumPy backends, float64.

Every operation but the updates, which work in place, takes `out=` (it may be exactly the input for pointwise
operations and overlap nothing otherwise), allocates its result when that is None, and returns it. CuPy arrays run on
CUDA kernels, on CuPy's current stream and without synchronising; NumPy arrays run on the CPU backend, or on the one
that `with ops.backend(...)` names.

In this folder, files with an underscore hold the public functions; `arrays` (the gate), `geometry` and `parameters` are
what they check with; `reference`, `cpu` and `kernels` are the backends.
"""

from ._augment import augment
from ._conv import bias_grad, conv2d, conv2d_dgrad, conv2d_wgrad, conv2d_wgrad_db, conv2d_wgrad_sgd
from ._dropout import dropout, dropout_backward
from ._gemm import gemm, gemm_sgd
from ._layout import from_nchw, to_nchw
from ._lrn import lrn, lrn_backward, lrn_within_channel, lrn_within_channel_backward
from ._pointwise import add, relu, relu_backward, scale, sigmoid, sigmoid_backward, tanh, tanh_backward
from ._pool import (
    avg_pool,
    avg_pool_backward,
    global_avg_pool,
    max_pool,
    max_pool_backward,
    min_pool,
)
from ._sgd import sgd_momentum, step_state
from ._softmax import softmax, softmax_cross_entropy
from ._status import check_status
from .backends import backend
from .reference import philox4x32
from .workspace import is_fused, workspace_bytes

__all__ = [
    "add",
    "augment",
    "avg_pool",
    "avg_pool_backward",
    "backend",
    "bias_grad",
    "check_status",
    "conv2d",
    "conv2d_dgrad",
    "conv2d_wgrad",
    "conv2d_wgrad_db",
    "conv2d_wgrad_sgd",
    "dropout",
    "dropout_backward",
    "from_nchw",
    "gemm",
    "gemm_sgd",
    "global_avg_pool",
    "is_fused",
    "lrn",
    "lrn_backward",
    "lrn_within_channel",
    "lrn_within_channel_backward",
    "max_pool",
    "max_pool_backward",
    "min_pool",
    "philox4x32",
    "relu",
    "relu_backward",
    "scale",
    "sgd_momentum",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_cross_entropy",
    "step_state",
    "tanh",
    "tanh_backward",
    "to_nchw",
    "workspace_bytes",
]
