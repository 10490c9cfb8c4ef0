"""Checks of scalar parameters: one wording for all operations (argument, got, wanted)."""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

IntOrPair = int | Sequence[int]

UINT32_MAX = (1 << 32) - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)
FLOAT32_SMALLEST = 2.0**-126  # of the normal ones; kernels may take what is smaller for 0


def integer(op: str, name: str, value: Any, *, minimum: int, maximum: int | None = None) -> int:
    """An integer parameter (NumPy integers too, no bools) in [minimum, maximum]."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: argument '{name}': got {value!r}, wanted an integer") from None
    if result < minimum:
        raise ValueError(f"{op}: argument '{name}': got {result}, wanted at least {minimum}")
    if maximum is not None and result > maximum:
        raise ValueError(f"{op}: argument '{name}': got {result}, wanted at most {maximum}")
    return result


def pair(op: str, name: str, value: IntOrPair, *, minimum: int) -> tuple[int, int]:
    """An integer, used twice, or a (vertical, horizontal) pair of them."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(
                f"{op}: argument '{name}': got {value!r}, wanted one integer or a (vertical, horizontal) pair"
            )
        return integer(op, name, value[0], minimum=minimum), integer(op, name, value[1], minimum=minimum)
    result = integer(op, name, value, minimum=minimum)
    return result, result


def shape(op: str, name: str, value: Any, dims: Sequence[str]) -> tuple[int, ...]:
    """A shape given as a tuple, e.g. `x_shape`, with one positive size for each of `dims`."""
    if not isinstance(value, (tuple, list)) or len(value) != len(dims):
        raise ValueError(f"{op}: argument '{name}': got {value!r}, wanted a shape ({', '.join(dims)})")
    return tuple(integer(op, f"{name}[{i}]", size, minimum=1) for i, size in enumerate(value))


def number(
    op: str, name: str, value: Any, *, above: float | None = None, minimum: float | None = None,
    maximum: float | None = None,
) -> float:  # fmt: skip
    """A real number that float32 can hold; `above` is an exclusive lower limit, the others are inclusive."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{op}: argument '{name}': got {value!r}, wanted a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    wanted = None
    if not abs(result) <= FLOAT32_MAX:
        wanted = "a finite number that float32 can hold"
    elif above is not None and not result > above:
        wanted = f"a number above {above:g}"
    elif minimum is not None and not result >= minimum:
        wanted = f"at least {minimum:g}"
    elif maximum is not None and not result <= maximum:
        wanted = f"at most {maximum:g}"
    if wanted:
        raise ValueError(f"{op}: argument '{name}': got {value!r}, wanted {wanted}")
    return result


def groups(op: str, value: Any, totals: dict[str, int]) -> int:
    """A number of groups that divides every total; `totals` maps what is divided to its size."""
    count = integer(op, "groups", value, minimum=1)
    for what, total in totals.items():
        if total % count:
            raise ValueError(f"{op}: argument 'groups': got {count}, wanted a divisor of the {total} {what}")
    return count


def flag(op: str, name: str, value: Any) -> bool:
    """True or False (NumPy's too); a string or an array would be taken for something it is not."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{op}: argument '{name}': got {value!r}, wanted True or False")
    return bool(value)


def dtype(op: str, name: str, value: Any, allowed: Sequence[np.dtype]) -> np.dtype:
    """One of the dtypes allowed, given as a dtype, a type or a name."""
    names = " or ".join(d.name for d in allowed)
    try:
        result = np.dtype(value)
    except TypeError:
        result = np.dtype(object)  # never allowed
    if value is None or result not in allowed:  # NumPy takes None for float64
        raise TypeError(f"{op}: argument '{name}': got {value!r}, wanted {names}")
    return result
