"""Comparison of a result with the reference, element by element, that a NaN cannot slip through."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """error and bound are those of the worst element, the one with the largest error / bound."""

    passed: bool
    error: float
    bound: float
    index: tuple[int, ...]
    message: str


def compare(got: np.ndarray, want: np.ndarray, bound: np.ndarray) -> Comparison:
    """Whether every element of `got` lies within `bound` of `want`; finite where `want` is finite.

    got: any dtype; want, bound: arrays of its shape, float64 or integers.
    """
    if got.shape != want.shape:
        return Comparison(False, np.inf, 0.0, (), f"got shape {list(got.shape)}, wanted {list(want.shape)}")
    got, want, bound = (np.atleast_1d(a).astype(np.float64) for a in (got, want, np.broadcast_to(bound, got.shape)))
    bound = np.where(np.isfinite(bound), bound, 0)  # an infinite bound would let anything pass
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    both_finite = np.isfinite(got) & np.isfinite(want)
    error = np.abs(np.subtract(got, want, out=np.full(got.shape, np.inf), where=both_finite))
    error[same] = 0
    # Elements with a bound of 0 must be equal: any error there is infinitely many bounds.
    ratio = np.divide(error, bound, out=np.where(error > 0, np.inf, 0.0), where=bound > 0)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(ratio), ratio.shape))
    passed = bool((ratio <= 1).all())
    message = "" if passed else f"at {list(index)}: got {got[index]:.9g}, wanted {want[index]:.9g}"
    return Comparison(passed, float(error[index]), float(bound[index]), index, message)
