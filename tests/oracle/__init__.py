# ruff: noqa: F401
"""The tests' oracle: every operation once more, from its formula, in float64 with direct loops.

It shares no code with the package it judges: it imports NumPy and `math` alone. Layouts are the package's:
activations [C, H, W, N], filters [C/groups, R, S, K], fully connected activations [features, N].
Arrays of any dtype come in and are widened to float64; results are float64 (or integers) and never rounded to
a narrower type, so a test that wants a bfloat16 result rounds it once itself. Only the image axis, and in a
convolution the filter axis, is vectorised: slow, but every formula can be seen.
"""

from .augment import augment, from_nchw, to_nchw
from .conv import bias_grad, conv2d, conv2d_dgrad, conv2d_wgrad
from .dropout import dropout, dropout_backward, dropout_mask, philox4x32
from .fused import conv2d_wgrad_db, conv2d_wgrad_sgd, gemm_sgd
from .gemm import gemm
from .geometry import axis_geometry, out_shape, windows
from .lrn import lrn, lrn_backward, lrn_within_channel, lrn_within_channel_backward
from .numeric import central_differences
from .pointwise import add, relu, relu_backward, scale, sigmoid, sigmoid_backward, tanh, tanh_backward
from .pool import avg_pool, avg_pool_backward, max_pool, max_pool_backward
from .sgd import sgd_momentum
from .softmax import softmax, softmax_cross_entropy
