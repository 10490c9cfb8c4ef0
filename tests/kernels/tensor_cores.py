"""What an emulated Hopper GPU's launchers choose for a case of the tables."""

from alexnet_cuda import config
from alexnet_cuda.ops import geometry

EMULATED = config.load("_emulated")[0]
CHOOSE = {"conv2d": "choose_conv_fprop", "conv2d_dgrad": "choose_conv_dgrad", "conv2d_wgrad": "choose_conv_wgrad"}

# What there is a kernel for: the operation, what its choice says, and how many small cases it has at least.
KINDS = (
    ("conv2d", "positions of .* steps of 64", 5),
    ("conv2d", "steps of 16 for 5 taps", 1),
    ("conv2d", "tiles of 64 images x 64 filters", 1),
    ("conv2d_dgrad", "positions of .* steps of 64", 6),
    ("conv2d_dgrad", "steps of 16 for 5 taps", 1),
    ("conv2d_wgrad", "filters x .* inputs", 10),
    ("gemm", "K whole", 4),
    ("gemm", r"K in \d+ parts", 5),
)


def choice(name, case):
    """What the launcher of an operation chooses for a case in bfloat16, at good addresses."""
    if name == "gemm":
        return EMULATED.choose_gemm((case.M, case.N, case.K), case.trans_a, case.trans_b, True, "bfloat16")
    where = geometry.windows(name, case.x[1:3], case.w[1:3], case.stride, case.pad, case.ceil_mode)
    place = (case.groups, True, "bfloat16")
    return getattr(EMULATED, CHOOSE[name])(case.x, case.w, case.y, where.stride, where.pad, *place)
