"""Runs in bfloat16: what they save, that they resume to the bit, and what is computed with their weights."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from test_resume import assert_same_run, fit, signal_at

from alexnet_cuda import train
from alexnet_cuda.train import checkpoint, metrics


def fit_bf16(out, **options):
    return fit(out, precision="bf16", **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole")
    return fit_bf16(out)


def test_a_net_learns(tmp_path):
    model = fit_bf16(tmp_path, epochs=8)
    assert model.outcome.validation.top1 > 0.9  # guessing gives 0.25


def test_a_checkpoint_holds_masters_and_says_the_precision(whole):
    found = checkpoint.load(whole.outcome.checkpoint)
    assert found.meta["precision"] == "bf16"
    assert {array.dtype for array in found.arrays.values()} == {np.dtype(np.float32)}
    weights = found.arrays["w/fc3.w"]
    assert np.count_nonzero(weights.view(np.uint32) & 0xFFFF) > 0.9 * weights.size  # digits that bfloat16 has not
    assert metrics.read(whole.outcome.metrics)[0]["precision"] == "bf16"


@pytest.mark.parametrize("step", [1, 20])
def test_a_run_that_is_resumed_has_the_same_bits(whole, tmp_path, monkeypatch, step):
    signal_at(monkeypatch, step)
    with pytest.raises(train.Interrupted):
        fit_bf16(tmp_path)
    monkeypatch.undo()
    fit_bf16(tmp_path, resume="auto", workers=2)
    assert_same_run(whole.outcome.run, tmp_path)


def test_another_precision_begins_with_the_weights(whole, tmp_path):
    run = whole.outcome.run
    with pytest.raises(train.CheckpointError, match=r"differs in precision \(bf16 there, fp32 here\); .*--init-from"):
        fit(run, resume="auto")
    model = fit(tmp_path, init_from=run, lr=1e-30, epochs=1)
    assert all(np.array_equal(model.weights[name], value) for name, value in whole.weights.items())


def test_a_checkpoint_that_says_no_precision_is_float32(tmp_path):
    first = fit(tmp_path / "first", epochs=1)
    found = checkpoint.load(first.outcome.checkpoint)
    del found.meta["precision"]
    old = checkpoint.save(tmp_path / "old" / "checkpoints", found.arrays, found.meta, step=found.step)
    assert train.Model.load(old).precision == "fp32"
    assert fit(None, resume=old, epochs=2).outcome.epochs == 2
    with pytest.raises(train.CheckpointError, match=r"precision \(fp32 there, bf16 here\)"):
        fit_bf16(tmp_path / "other", resume=first.outcome.checkpoint)


def test_two_devices_train_as_one_does(whole, tmp_path):
    two = fit_bf16(tmp_path, devices="cpu,cpu").outcome
    assert two.validation.loss == pytest.approx(whole.outcome.validation.loss, rel=2**-8)


def test_a_model_computes_as_it_was_trained_unless_told(whole):
    store = tiny.store()
    pixels = store.val.take(range(20))
    run = whole.outcome.run
    trained, loaded = whole, train.Model.load(run, devices="cpu")
    exact = train.Model.load(run, devices="cpu", precision="fp32")
    assert [model.precision for model in (trained, loaded, exact)] == ["bf16", "bf16", "fp32"]
    assert loaded.evaluate(store).loss == pytest.approx(whole.outcome.validation.loss, rel=1e-6)
    np.testing.assert_array_equal(loaded.predict(pixels), trained.predict(pixels))
    for wanted, got in (
        (exact.predict(pixels), loaded.predict(pixels)),
        (exact.features(pixels, "conv2"), loaded.features(pixels, "conv2")),
    ):
        assert got.dtype == np.float32
        # Input, weights and result of two or four layers, each rounded by 2^-8 at most.
        assert 0 < np.abs(got - wanted).max() < 12 * 2**-8 * np.abs(wanted).max()
    wanted, got = (model.input_gradient(pixels, [1] * 20) for model in (exact, loaded))
    assert got.dtype == np.float32
    # Pixels that rounding makes equal can move a gradient to another one of a pooling window; most stay where they are.
    assert np.vdot(got, wanted) > 0.95 * np.linalg.norm(got) * np.linalg.norm(wanted)
    with pytest.raises(ValueError, match="precision: got 'int8', wanted 'fp32' or 'bf16'"):
        train.Model.load(run, devices="cpu", precision="int8")
