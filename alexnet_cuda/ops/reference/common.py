"""What several references share: the dtype of arithmetic, and equal parts of an axis."""

import numpy as np


def wide(x):
    """x in the dtype arithmetic is done in: float64 stays, everything else (bfloat16, integers) is float32."""
    return np.asarray(x, np.float64 if x.dtype == np.float64 else np.float32)


def group_slices(groups, total):
    """Equal consecutive slices of an axis of `total` entries, one per group."""
    return [slice(g * total // groups, (g + 1) * total // groups) for g in range(groups)]
