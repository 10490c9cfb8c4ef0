"""What a table of cases is made of: drawn arguments, cases, and how exact an operation must be.

A result is right when every element lies within

    4 * unit * sqrt(terms) * scale   (+ 2^-8 * |value| where it is stored as bfloat16)

of the reference in float64 on the same (rounded) inputs. `unit` is what one operation of float32 may lose: 2^-24, half
a digit, where it is rounded; 2^-23, a whole one, where it may be cut off, as tensor cores do with sums of products of
bfloat16. `scale` is the result with every product and every summand replaced by its absolute value, `terms` the number
of roundings that may pile up in one element: products of a sum, or 8 more for a power, an exponential or a logarithm,
which libraries compute to about 4 units in the last place. The square root is the growth of independent rounding
errors. In float64 the bound is 1e-12 * scale. The narrowest sums tell float32 from its imitations: a tensor core's
10-bit products fail in every sum of less than some thousand terms.
"""

import copy
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import ops
from ..ops.arrays import BFLOAT16, FLOAT64, FLOATS, accumulator

FLOAT32_UNIT, TENSOR_CORE_UNIT = 2.0**-24, 2.0**-23
FUNCTION_ROUNDINGS = 8  # of exp, log or pow: about 4 units in the last place are 8 half-unit roundings
SMALLEST_NORMAL = 2.0**-126  # of float32: what is smaller may lose its digits or become 0
KEPT = ("mean", "color_shift", "w_bf16")  # arguments of one dtype, whatever the operation computes in


@dataclass(frozen=True)
class Arguments:
    """Drawn arguments of one call, in float64 until `cast` rounds them."""

    values: dict[str, np.ndarray]  # in the dtype under test: activations, weights
    sums: dict[str, np.ndarray] = field(default_factory=dict)  # in its accumulator: biases
    fixed: dict[str, Any] = field(default_factory=dict)  # as they are: integers, parameters
    dtype_parameter: str | None = None  # the parameter that names the dtype of the result, if there is one

    def cast(self, dtype: np.dtype) -> dict[str, Any]:
        """Keyword arguments for the operation. No array is shared with another call's."""
        rounded = {name: value.astype(dtype) for name, value in self.values.items()}
        sums = {name: value.astype(accumulator(dtype)) for name, value in self.sums.items()}
        asked = {self.dtype_parameter: dtype} if self.dtype_parameter else {}
        return {**rounded, **sums, **copy.deepcopy(self.fixed), **asked}


@dataclass(frozen=True)
class Operation:
    """An operation of `alexnet_cuda.ops` with its case table.

    cases: each has a `name`, unique among them, and whatever `draw` needs.
    draw(case, rng, values): Arguments; values is "normal" or "integers" (see `sample`).
    terms(kwargs): roundings that one element may collect.
    scale(kwargs): float64 arrays like the outputs (0: the result must be exact).
    exact_on_integers: whether integer inputs must give the reference's very numbers, or a function that tells from
        the arguments.
    sums: those outputs that are stored in the accumulator of the dtype under test, float32 for bfloat16.
    in_place: arguments that the operation overwrites; they are its results.
    tensor_cores: whether GPUs may compute it there, when the inputs are bfloat16.
    """

    name: str
    outputs: tuple[str, ...]
    cases: tuple[Any, ...]
    draw: Callable[[Any, np.random.Generator, str], Arguments]
    terms: Callable[[dict[str, Any]], float]
    scale: Callable[[dict[str, Any]], Any]
    exact_on_integers: bool | Callable[[dict[str, Any]], bool] = True
    sums: tuple[str, ...] = ()
    in_place: tuple[str, ...] = ()
    tensor_cores: bool = False

    def run(self, kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The results of one call as a tuple, one for each of `outputs`."""
        result = getattr(ops, self.name)(**kwargs)
        if self.in_place:
            return tuple(kwargs[name] for name in self.in_place)
        return result if isinstance(result, tuple) else (result,)

    def is_exact(self, kwargs: dict[str, Any]) -> bool:
        """Whether integer inputs must give the reference's numbers for these arguments."""
        return self.exact_on_integers if isinstance(self.exact_on_integers, bool) else self.exact_on_integers(kwargs)

    def result_dtype(self, output: str, reference: np.ndarray, dtype: np.dtype) -> np.dtype:
        """The dtype of a result when the inputs have `dtype`: integers stay what they are in the reference."""
        if reference.dtype.kind in "iu":
            return reference.dtype
        return accumulator(dtype) if output in self.sums else dtype

    def reference(self, kwargs: dict[str, Any]) -> tuple[np.ndarray, ...]:
        """The results in float64 of the same inputs."""
        with ops.backend("reference"):
            return self.run(widened(kwargs))

    def bounds(
        self, kwargs: dict[str, Any], results: tuple[np.ndarray, ...], unit: float = FLOAT32_UNIT
    ) -> tuple[np.ndarray, ...]:
        """The largest allowed error of each element; `results` tell the dtypes. Integers must be equal."""
        wide = widened(kwargs)
        with ops.backend("reference"):
            scales = self.scale(wide)
        scales = scales if isinstance(scales, tuple) else (scales,)
        error = 4 * unit * np.sqrt(self.terms(wide))
        return tuple(_bound(result, scale, error) for result, scale in zip(results, scales, strict=True))


def _bound(result: np.ndarray, scale: Any, error: float) -> np.ndarray:
    """error: relative to `scale`, in float32."""
    if result.dtype.kind in "iu":
        return np.zeros(result.shape)
    scale = np.broadcast_to(np.asarray(scale, np.float64), result.shape)
    if result.dtype == FLOAT64:
        return 1e-12 * scale
    bound = np.where(scale > 0, error * scale + SMALLEST_NORMAL, 0)
    if result.dtype == BFLOAT16:
        bound = bound + 2.0**-8 * np.abs(result.astype(np.float64))
    return bound


def widened(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The same arguments for a float64 run (arrays named in KEPT stay as they are)."""
    return {
        name: value.copy() if name in KEPT and value is not None else _widened(value) for name, value in kwargs.items()
    }


def _widened(value: Any) -> Any:
    if isinstance(value, np.dtype):
        return FLOAT64
    if not isinstance(value, np.ndarray):
        return value
    return value.astype(FLOAT64) if value.dtype in FLOATS else value.copy()


def absolute(kwargs: dict[str, Any], *names: str) -> dict[str, Any]:
    """The same arguments with the arrays named made non-negative."""
    return {name: np.abs(value) if name in names and value is not None else value for name, value in kwargs.items()}


def sample(rng: np.random.Generator, shape: tuple[int, ...], values: str) -> np.ndarray:
    """Inputs of a shape: standard normal, or integers in [-4, 4], whose sums of products stay exact in float32."""
    if values == "integers":
        return rng.integers(-4, 5, shape).astype(np.float64)
    return rng.standard_normal(shape)


def generator(seed: int, operation: str, case: str, values: str) -> np.random.Generator:
    """A generator of its own for each case, so that a case run alone draws what it drew among the others."""
    return np.random.default_rng([seed, zlib.crc32(f"{operation}/{case}/{values}".encode())])
