# ruff: noqa: F401  (a backend offers what it imports here)
"""Every operation of AlexNet in NumPy, straight from its formula: what all other backends are checked against.

Read these files to learn what an operation computes. They favour few lines over speed and use no code of `cpu.py`
(which uses some of theirs), of the kernels or of the tests' oracle. The public functions in `alexnet_cuda.ops` check
the arguments, allocate the results and call these functions as they call any backend's:

* `out` is the result array (the loss and `conv2d_wgrad_db` have a tuple of them, max-pooling an `arg` beside it),
  allocated by the caller and overwritten;
* `stride=(sh, sw)`, `size=(R, S)`, and `pad=(top, left)` is the *leading* padding alone: how far windows reach
  past the bottom and the right edge follows from the number of outputs, so ceil mode needs no word here;
* layouts are those of `alexnet_cuda.ops`: activations [C, H, W, N], filters [C/groups, R, S, K].

Arithmetic is in float32 or float64, as the inputs are; bfloat16 is widened to float32, and assigning to a
bfloat16 `out` rounds once, to nearest even.
"""

from .augment import augment
from .conv import bias_grad, conv2d, conv2d_dgrad, conv2d_wgrad, conv2d_wgrad_db
from .dropout import dropout, dropout_backward, philox4x32
from .gemm import gemm
from .lrn import lrn, lrn_backward, lrn_within_channel, lrn_within_channel_backward
from .pointwise import add, relu, relu_backward, scale, sigmoid, sigmoid_backward, tanh, tanh_backward
from .pool import avg_pool, avg_pool_backward, max_pool, max_pool_backward
from .sgd import conv2d_wgrad_sgd, gemm_sgd, sgd_momentum
from .softmax import softmax, softmax_cross_entropy
