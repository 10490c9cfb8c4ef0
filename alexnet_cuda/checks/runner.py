"""Runs case tables on a backend: `alexnet_cuda.check` and `alexnet-cuda check`."""

import contextlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..errors import DeviceError
from ..ops import backends, emulated
from ..ops.arrays import BFLOAT16, FLOAT32, FLOAT64
from .cases import OPERATIONS
from .compare import compare
from .guard import CANARIES, Guarded, poison
from .table import FLOAT32_UNIT, TENSOR_CORE_UNIT, Operation, generator

DTYPES = {"float32": FLOAT32, "bfloat16": BFLOAT16, "float64": FLOAT64}
VALUES = ("integers", "normal")
COMPILED = ("emulated", "cuda")


@dataclass(frozen=True)
class Row:
    """One result of one case, against the reference in float64. offset: `run_guarded`'s."""

    op: str
    case: str
    values: str
    offset: int
    output: str
    error: float
    bound: float
    passed: bool
    message: str

    def __str__(self) -> str:
        name = f"{self.op}.{self.output}"
        verdict = "pass" if self.passed else f"FAIL {self.message}"
        values = f"{self.values}+{self.offset}" if self.offset else self.values
        return f"{name:<34} {self.case:<42} {values:<8} {self.error:9.2e} {self.bound:9.2e}  {verdict}"


HEADER = f"{'operation.output':<34} {'case':<42} {'values':<8} {'error':>9} {'bound':>9}"


@dataclass(frozen=True)
class Report:
    """What a check found. `passed`: everything that could run is right, and all that was named could run."""

    backend: str
    dtype: str
    seed: int
    rows: tuple[Row, ...]
    missing: tuple[str, ...]  # operations the backend has no kernel for
    named: bool  # the user asked for these operations, so a missing one is a failure

    @property
    def failures(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.passed)

    @property
    def passed(self) -> bool:
        return not self.failures and bool(self.rows) and not (self.named and self.missing)

    def summary(self) -> str:
        """Closing lines: counts, what is missing, and how to run each failure again."""
        lines = [
            f"{len(self.rows) - len(self.failures)} of {len(self.rows)} results within their bounds "
            f"(backend {self.backend}, {self.dtype}, seed {self.seed})"
        ]
        if self.missing:
            lines.append(f"no {self.dtype} kernel on '{self.backend}' yet: {', '.join(self.missing)}")
        for op, case in dict.fromkeys((row.op, row.case) for row in self.failures):
            lines.append(f"again: {again(op, case, self.backend, self.dtype, self.seed)}")
        return "\n".join(lines)


def again(op: str, case: str, backend: str, dtype: str, seed: int) -> str:
    """The command that runs one case once more with the same inputs."""
    options = f"--backend {backend} --dtype {dtype} --seed {seed}"
    return f"alexnet-cuda check {op} --case {shlex.quote(case)} {options}"


def check(
    *names: str, backend: str = "cpu", dtype: str = "float32", seed: int = 0, case: str | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> Report:  # fmt: skip
    """Check operations on a backend against the NumPy reference in float64, over their case tables.

    names: operations as in `alexnet_cuda.ops`, all by default. backend: "reference", "cpu", "emulated" or "cuda";
    dtype: "float32", "bfloat16" or "float64" of the inputs; seed: of the inputs, at least 0; case: the name of a
    single case, as printed; on_row: called with each row as it is done.

    Every case runs on integers in [-4, 4], where results that floats hold exactly must be equal, and on normal values,
    where each element must lie within its bound (see `alexnet_cuda.checks.table`). Integers lie at multiples of 16
    bytes, normal values one element after them ("normal+1"), and at both where tensor cores, which want such multiples,
    may take them. Arguments must be left as they were, and results written whole and nowhere else.
    Raises ValueError for an unknown name, DeviceError when the backend cannot run here.
    """
    for name in names:
        _one_of("operation", name, OPERATIONS)
    _one_of("backend", backend, backends.BACKENDS)
    _one_of("dtype", dtype, DTYPES)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"check: argument 'seed': got {seed!r}, wanted an integer of at least 0")
    chosen = [OPERATIONS[name] for name in names or OPERATIONS]
    if case is not None:
        known = {c.name for operation in chosen for c in operation.cases}
        _one_of("case", case, sorted(known))
    if dtype == "float64" and backend not in ("reference", "cpu"):
        raise ValueError(f"check: backend {backend!r} has no kernels in float64; use backend 'cpu' for that")
    backends.load(backend)  # a backend this machine lacks is an error before the first case

    rows: list[Row] = []
    missing: list[str] = []
    for operation in chosen:
        done, refused = _run_cases(operation, backend, dtype, seed, case, on_row)
        rows += done
        if not done and refused:
            missing.append(operation.name)
        for row in refused if done else ():  # a kernel that takes some cases and not others is not a missing one
            rows.append(row)
            if on_row:
                on_row(row)
    return Report(backend, dtype, seed, tuple(rows), tuple(missing), named=bool(names))


def _one_of(what: str, name: str, known: Any) -> None:
    if name not in known:
        raise ValueError(f"check: unknown {what} {name!r}; there are {', '.join(known)}")


def _run_cases(
    operation: Operation, backend: str, dtype: str, seed: int, only: str | None, on_row: Callable[[Row], None] | None
) -> tuple[list[Row], list[Row]]:
    """The rows of all cases that ran, and one for each that the backend says it has no kernel for."""
    done: list[Row] = []
    refused: list[Row] = []
    for case in operation.cases:
        if only not in (None, case.name):
            continue
        for values in VALUES:
            try:
                rows = check_case(operation, case, values, backend, dtype, seed)
            except NotImplementedError as error:
                refused.append(
                    Row(operation.name, case.name, values, 0, "-", np.inf, 0, False, f"not implemented: {error}")
                )
                continue
            for row in rows:
                done.append(row)
                if on_row:
                    on_row(row)
    return done, refused


def check_case(
    operation: Operation, case: Any, values: str, backend: str, dtype: str = "float32", seed: int = 0
) -> Sequence[Row]:
    """Run one case on one kind of values; a row for each result and address. An exception of the backend is a row that
    failed."""
    # Backends have to take good addresses and bad ones, but tensor cores only see what lies at good ones.
    tensor_cores = operation.tensor_cores and dtype == "bfloat16" and backend in COMPILED
    offsets = (0,) if values == "integers" else (0, 1) if tensor_cores else (1,)
    arguments = operation.draw(case, generator(seed, operation.name, case.name, values), values)
    kwargs = arguments.cast(DTYPES[dtype])
    want = operation.reference(kwargs)
    rows: list[Row] = []
    for offset in offsets:
        unit = TENSOR_CORE_UNIT if tensor_cores and offset == 0 else FLOAT32_UNIT
        rows += _run_once(operation, case, values, backend, kwargs, want, DTYPES[dtype], offset, unit)
    return rows


def _run_once(
    operation: Operation, case: Any, values: str, backend: str, kwargs: dict[str, Any], want: tuple[np.ndarray, ...],
    dtype: np.dtype, offset: int, unit: float,
) -> list[Row]:  # fmt: skip
    """The rows of one call; kwargs are its arguments, want the reference's results, unit is `Operation.bounds`'."""

    def row(output: str, error: float, bound: float, passed: bool, message: str) -> Row:
        return Row(operation.name, case.name, values, offset, output, error, bound, passed, message)

    try:
        got, problem = run_guarded(backend, operation, kwargs, want, dtype, offset)
    except (NotImplementedError, DeviceError):
        raise
    except Exception as error:
        return [row("-", np.inf, 0, False, f"raised {type(error).__name__}: {error}")]
    bounds = operation.bounds(kwargs, got, unit)
    exact = values == "integers" and operation.is_exact(kwargs)
    rows = []
    for output, g, w, bound in zip(operation.outputs, got, want, bounds, strict=True):
        if exact:  # one rounding to nearest even when stored, in the reference too
            w, bound = w.astype(g.dtype), np.zeros_like(bound)
        result = compare(g, w, bound)
        message = result.message or problem
        rows.append(row(output, result.error, result.bound, result.passed and not problem, message))
    return rows


def run_guarded(
    backend: str,
    operation: Operation,
    kwargs: dict[str, Any],
    want: tuple[np.ndarray, ...],
    dtype: np.dtype,
    offset: int,
) -> tuple[tuple[np.ndarray, ...], str]:
    """Results of one call on a backend as NumPy arrays, and what it did that it should not have.

    Arguments and results lie between canaries, `offset` elements off a 16-byte boundary; on "emulated" between red
    zones, where the builds that look closer see reads too. Arguments are compared with the originals afterwards;
    results are poisoned before, unless the operation works in place or adds to its `out`.
    """
    move, back = transfers(backend)
    canaries = 0 if backend == "emulated" else CANARIES
    arrays = {name: value for name, value in kwargs.items() if isinstance(value, np.ndarray)}
    guards = {name: Guarded(value, offset, move, back, canaries) for name, value in arrays.items()}
    given = {**kwargs, **{name: guard.array for name, guard in guards.items()}}
    if not operation.in_place and "out" not in kwargs:
        for output, w in zip(operation.outputs, want, strict=True):
            unwritten = poison(w.shape, operation.result_dtype(output, w, dtype))
            guards[f"result {output}"] = Guarded(unwritten, offset, move, back, canaries)
        results = tuple(guards[f"result {output}"].array for output in operation.outputs)
        given["out"] = results if len(results) > 1 else results[0]
    with contextlib.nullcontext() if backend == "cuda" else ops.backend(backend):
        got = tuple(back(result) for result in operation.run(given))
    for name, guard in guards.items():
        if not guard.canaries_alive():
            return got, f"wrote outside '{name}'"
    for name, original in arrays.items():
        if name not in (*operation.in_place, "out") and original.tobytes() != back(given[name]).tobytes():
            return got, f"changed its argument '{name}'"
    return got, ""


def transfers(backend: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How NumPy arrays get to where a backend runs, and how results come back."""
    if backend == "emulated":
        return emulated.copied, np.asarray
    if backend != "cuda":
        return np.asarray, np.asarray
    import cupy

    return cupy.asarray, cupy.asnumpy
