"""`alexnet_cuda.check` as its users call it, and that it sees faults put into a backend."""

import numpy as np
import pytest

import alexnet_cuda
from alexnet_cuda.checks import OPERATIONS, runner
from alexnet_cuda.ops import backends, reference
from alexnet_cuda.ops.arrays import BFLOAT16


@pytest.fixture
def broken(monkeypatch):
    """Replace one function of the CPU backend."""

    def replace(op, function):
        monkeypatch.setattr(backends.load("cpu"), op, function)

    return replace


def test_every_public_operation_has_a_table():
    helpers = {
        "backend", "check_status", "from_nchw", "is_fused", "to_nchw", "philox4x32", "step_state", "workspace_bytes",
    }  # fmt: skip
    assert set(alexnet_cuda.ops.__all__) - helpers == set(OPERATIONS)


def test_case_names_are_unique():
    for operation in OPERATIONS.values():
        names = [case.name for case in operation.cases]
        assert len(set(names)) == len(names), operation.name


def test_a_check_reports_every_result():
    seen = []
    report = alexnet_cuda.check("max_pool", "relu", backend="reference", case=None, on_row=seen.append)
    assert report.passed
    assert {(row.op, row.output) for row in report.rows} == {("max_pool", "y"), ("max_pool", "arg"), ("relu", "out")}
    assert tuple(seen) == report.rows
    assert "results within their bounds (backend reference, float32, seed 0)" in report.summary()


def test_one_case_alone_draws_what_it_drew_among_the_others():
    whole = alexnet_cuda.check("bias_grad", backend="cpu", seed=5)
    alone = alexnet_cuda.check("bias_grad", backend="cpu", seed=5, case="primes")
    assert alone.rows == tuple(row for row in whole.rows if row.case == "primes")
    assert len(alone.rows) == 2


def test_a_product_too_few_is_found_with_the_line_to_run_it_again(broken):
    def without_the_last_tap(x, w, b, **parameters):
        w = w.copy()
        w[-1, -1, -1] = 0
        reference.conv2d(x, w, b, **parameters)

    broken("conv2d", without_the_last_tap)
    report = alexnet_cuda.check("conv2d", case="primes", seed=3)
    assert not report.passed
    assert len(report.failures) == 2
    assert "again: alexnet-cuda check conv2d --case primes --backend cpu --dtype float32 --seed 3" in report.summary()
    assert "FAIL at [" in str(report.failures[0])


@pytest.mark.parametrize("poison", (np.nan, np.inf))
def test_a_result_that_is_not_written_is_found(broken, poison):
    def skips_the_last_image(x, *, out):
        out[...] = np.maximum(x, 0)
        out.flat[-1] = poison

    broken("relu", skips_the_last_image)
    assert not alexnet_cuda.check("relu", case="three dimensions").passed


def test_arguments_must_be_left_alone(broken):
    def clears_its_argument(x, *, out):
        reference.relu(x, out=out)
        x[...] = 0

    broken("relu", clears_its_argument)
    report = alexnet_cuda.check("relu", case="three dimensions")
    assert [row.message for row in report.failures] == ["changed its argument 'x'"] * 2

    def clears_arg(dy, arg, **parameters):
        arg[...] = 0
        reference.max_pool_backward(dy, arg, **parameters)

    broken("max_pool_backward", clears_arg)
    assert not alexnet_cuda.check("max_pool_backward", case="primes").passed


def test_writing_beside_the_result_is_found(broken):
    def one_too_many(x, *, out):
        reference.relu(x, out=out)
        np.lib.stride_tricks.as_strided(out.reshape(-1), (out.size + 1,))[-1] = 0

    broken("relu", one_too_many)
    failures = alexnet_cuda.check("relu", case="three dimensions").failures
    assert {row.message for row in failures} == {"wrote outside 'result out'"}


ROUNDED, CUT_OFF = 2.0**-24, 2.0**-23


@pytest.mark.parametrize(
    "op, backend, dtype, wanted",
    [
        ("gemm", "cpu", "bfloat16", {("integers", 0): ROUNDED, ("normal", 1): ROUNDED}),
        ("gemm", "emulated", "float32", {("integers", 0): ROUNDED, ("normal", 1): ROUNDED}),
        ("bias_grad", "emulated", "bfloat16", {("integers", 0): ROUNDED, ("normal", 1): ROUNDED}),
        *(
            (op, "emulated", "bfloat16", {("integers", 0): CUT_OFF, ("normal", 0): CUT_OFF, ("normal", 1): ROUNDED})
            for op in ("conv2d", "conv2d_dgrad", "conv2d_wgrad", "gemm")
        ),
    ],
)
def test_addresses_and_units_of_the_bound(op, backend, dtype, wanted, monkeypatch):
    """At good addresses products of bfloat16 may be those of tensor cores."""
    units = {}
    whole = runner._run_once

    def run(operation, case, values, *rest):
        *_, offset, unit = rest
        units[values, offset] = unit
        return whole(operation, case, values, *rest)

    monkeypatch.setattr(runner, "_run_once", run)
    assert alexnet_cuda.check(op, backend=backend, dtype=dtype, case="one of everything").passed
    assert units == wanted


def test_bounds_are_as_wide_as_their_unit():
    operation = OPERATIONS["conv2d_wgrad"]
    kwargs = operation.draw(operation.cases[1], np.random.default_rng(0), "normal").cast(BFLOAT16)
    results = (np.zeros(kwargs["w_shape"], np.float32),)
    (rounded,), (cut_off,) = (operation.bounds(kwargs, results, unit) for unit in (ROUNDED, CUT_OFF))
    np.testing.assert_allclose(cut_off, 2 * rounded)
    np.testing.assert_array_equal(operation.bounds(kwargs, results)[0], rounded)


def test_an_exception_is_a_failure_of_its_case(broken):
    def raises(x, *, out):
        raise ValueError("operands could not be broadcast together")

    broken("relu", raises)
    report = alexnet_cuda.check("relu", "add", case="three dimensions")
    assert {row.op for row in report.failures} == {"relu"}
    assert "raised ValueError: operands could not be broadcast" in str(report.failures[0])
    assert "again: alexnet-cuda check relu --case 'three dimensions'" in report.summary()


def test_an_update_that_forgets_the_copy_is_found(broken):
    def forgets(w, v, dw, *, w_bf16, **parameters):
        reference.sgd_momentum(w, v, dw, w_bf16=None, **parameters)

    broken("sgd_momentum", forgets)
    failures = alexnet_cuda.check("sgd_momentum", case="powers of two").failures
    assert {row.output for row in failures} == {"w_bf16"}


def test_an_off_by_one_argmax_is_found(broken):
    def shifted(x, *, out, arg, **parameters):
        reference.max_pool(x, out=out, arg=arg, **parameters)
        arg.flat[0] ^= 1

    broken("max_pool", shifted)
    failures = alexnet_cuda.check("max_pool", case="pad 1").failures
    assert {row.output for row in failures} == {"arg"}


def test_an_update_of_the_wrong_sign_is_found(broken):
    def wrong(w, v, dw, **parameters):
        reference.sgd_momentum(w, v, -dw, **parameters)

    broken("sgd_momentum", wrong)
    assert not alexnet_cuda.check("sgd_momentum", case="powers of two").passed


def test_a_kernel_that_takes_only_some_cases_fails_for_the_others(broken):
    def without_pad(x, *, pad, **parameters):
        if pad != (0, 0):
            raise NotImplementedError("max_pool: no padding yet")
        reference.max_pool(x, pad=pad, **parameters)

    broken("max_pool", without_pad)
    report = alexnet_cuda.check("max_pool")
    assert not report.missing
    refused = {row.case for row in report.failures}
    assert {"pad 1", "pad pairs", "ceil mode with pad"} <= refused
    assert "no overlap" not in refused
    assert {row.message for row in report.failures} == {"not implemented: max_pool: no padding yet"}


def test_missing_kernels_fail_only_when_they_were_asked_for(broken, monkeypatch):
    emulated = backends.load("emulated")
    monkeypatch.setattr(type(emulated), "relu", property(), raising=True)  # raises AttributeError when looked up
    everything = alexnet_cuda.check(backend="emulated", case="three dimensions")
    assert "relu" in everything.missing
    asked = alexnet_cuda.check("relu", backend="emulated")
    assert not asked.passed
    assert "no float32 kernel on 'emulated' yet: relu" in asked.summary()


@pytest.mark.parametrize(
    "names, options, says",
    [
        (("conv3d",), {}, "unknown operation 'conv3d'; there are conv2d,"),
        ((), {"backend": "gpu"}, "unknown backend 'gpu'; there are reference, cpu, emulated, cuda"),
        ((), {"dtype": "fp32"}, "unknown dtype 'fp32'; there are float32"),
        (("relu",), {"case": "prime"}, "unknown case 'prime'; there are"),
        (("relu",), {"seed": -1}, "'seed': got -1"),
        (
            ("relu",),
            {"backend": "emulated", "dtype": "float64"},
            "backend 'emulated' has no kernels in float64",
        ),
    ],
)
def test_unknown_names_are_listed(names, options, says):
    with pytest.raises(ValueError, match=says):
        alexnet_cuda.check(*names, **options)
