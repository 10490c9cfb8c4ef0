"""A run that was interrupted, however, and resumed ends with the bits of the run that was not."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny

from alexnet_cuda import nn, train
from alexnet_cuda.train import checkpoint, metrics, runs
from alexnet_cuda.train.loop import Loop
from alexnet_cuda.train.run_directory import RunDirectoryError

EPOCH = 13  # steps


def fit(out, net=None, store=None, **options):
    options = {"out": out, "progress": False, "devices": "cpu", "workers": 0, **options}
    return train.fit(tiny.net() if net is None else net, tiny.store() if store is None else store, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole")
    fit(out)
    return out


def assert_same_run(one: Path, other: Path) -> None:
    """Checkpoints equal to the bit, and metrics but for the clock."""
    for name in ("step-0000000039.safetensors", checkpoint.BEST):
        a, b = (checkpoint.load(run / "checkpoints" / name) for run in (one, other))
        assert a.meta == b.meta
        assert a.arrays.keys() == b.arrays.keys()
        for key in a.arrays:
            assert a.arrays[key].tobytes() == b.arrays[key].tobytes(), key
    lines = [
        [{k: v for k, v in line.items() if k not in metrics.WALL_CLOCK} for line in metrics.read(run / "metrics.jsonl")]
        for run in (one, other)
    ]
    assert lines[0] == lines[1]


def signal_at(monkeypatch, step: int, number: signal.Signals = signal.SIGTERM) -> None:
    """The process gets a signal while it works on a step."""
    original = Loop._step

    def stepping(self, batch):
        if self.state.step + 1 == step:
            os.kill(os.getpid(), number)
        original(self, batch)

    monkeypatch.setattr(Loop, "_step", stepping)


@pytest.mark.parametrize("step", [1, 7, EPOCH, EPOCH + 1, 38])
def test_a_signal_at_a_step(step, whole, tmp_path, monkeypatch):
    signal_at(monkeypatch, step)
    with pytest.raises(train.Interrupted) as caught:
        fit(tmp_path)
    assert caught.value.exit_status == 143
    assert [path.name for path in checkpoint.saved(tmp_path / "checkpoints")][0] == f"step-{step:010}.safetensors"
    monkeypatch.undo()
    fit(tmp_path, resume="auto", workers=2)
    assert_same_run(whole, tmp_path)


def test_a_signal_while_evaluating(whole, tmp_path, monkeypatch):
    original = Loop._evaluate

    def evaluating(self):
        if self.state.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    monkeypatch.setattr(Loop, "_evaluate", evaluating)
    with pytest.raises(train.Interrupted) as caught:
        fit(tmp_path)
    assert caught.value.exit_status == 130
    found = checkpoint.latest(tmp_path / "checkpoints", warn=pytest.fail)
    assert (found.step, found.meta["evaluation_due"], found.meta["epoch"]) == (2 * EPOCH, True, 1)
    monkeypatch.undo()
    fit(tmp_path, resume="auto")
    assert_same_run(whole, tmp_path)


def test_many_interruptions(whole, tmp_path, monkeypatch):
    for step in (3, 4, 11, 20, 33):
        with monkeypatch.context() as patch:
            signal_at(patch, step)
            with pytest.raises(train.Interrupted):
                fit(tmp_path, resume="auto")
    fit(tmp_path, resume="auto")
    assert_same_run(whole, tmp_path)


def test_a_signal_between_two_lines_of_the_metrics(tmp_path, monkeypatch):
    store = tiny.store(train=160)  # 20 steps an epoch, a line every second
    fit(tmp_path / "a", store=store, epochs=1)
    signal_at(monkeypatch, 7)
    with pytest.raises(train.Interrupted):
        fit(tmp_path / "b", store=store, epochs=1)
    monkeypatch.undo()
    fit(tmp_path / "b", store=store, epochs=1, resume="auto")
    lines = [
        [(line["step"], line.get("loss"), line.get("top1")) for line in metrics.read(tmp_path / run / "metrics.jsonl")]
        for run in "ab"
    ]
    assert lines[0] == lines[1]
    assert [step for step, _, _ in lines[0]] == [0, *range(2, 21, 2), 20]


def test_a_signal_to_save_saves_and_goes_on(whole, tmp_path, monkeypatch):
    saved = []
    original = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *a, step, **b: saved.append(step) or original(*a, step=step, **b))
    signal_at(monkeypatch, 7, signal.SIGUSR1)
    fit(tmp_path)
    assert saved == [7, 13, 26, 39]


CHILD = """
import sys, time
import tiny
from alexnet_cuda import train
from alexnet_cuda.train.loop import Loop
step = Loop._step
Loop._step = lambda *a: (step(*a), time.sleep(0.01))  # so that the first kill comes before the end on any machine
print("begins", flush=True)
train.fit(
    tiny.net(), tiny.store(), out=sys.argv[1], resume="auto", progress=False, devices="cpu", checkpoint_every=2,
)
"""


def test_sigkill_at_any_moment(whole, tmp_path):
    """Killed again and again at random moments, until it gets through."""
    generator = random.Random(int(time.time()))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])}
    kills, reached = 0, []
    for _ in range(4):
        command = [sys.executable, "-c", CHILD, str(tmp_path / "run")]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        assert child.stdout.readline() == "begins\n", child.stderr.read()
        time.sleep(generator.uniform(0.02, 0.35))
        child.kill()
        _, errors = child.communicate()
        assert child.returncode in (0, -signal.SIGKILL), errors
        kills += child.returncode == -signal.SIGKILL
        reached.append([path.name for path in checkpoint.saved(tmp_path / "run" / "checkpoints")][:1])
        if child.returncode == 0:
            break
    fit(tmp_path / "run", resume="auto", checkpoint_every=2)
    assert kills > 0, reached
    a, b = (checkpoint.load(run / "checkpoints/step-0000000039.safetensors") for run in (whole, tmp_path / "run"))
    assert a.meta == b.meta
    assert all(a.arrays[key].tobytes() == b.arrays[key].tobytes() for key in a.arrays)
    assert len(metrics.read(whole / "metrics.jsonl")) == len(metrics.read(tmp_path / "run/metrics.jsonl"))


def test_a_damaged_newest_checkpoint_costs_steps_only(whole, tmp_path, monkeypatch, capsys):
    signal_at(monkeypatch, 20)
    with pytest.raises(train.Interrupted):
        fit(tmp_path)
    monkeypatch.undo()
    newest = checkpoint.saved(tmp_path / "checkpoints")[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    newest.write_bytes(content)
    fit(tmp_path, resume="auto")
    assert newest.name in capsys.readouterr().err
    assert_same_run(whole, tmp_path)
    # Asked for by name it is refused.
    content = bytearray((tmp_path / "checkpoints/step-0000000039.safetensors").read_bytes())
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(content[:-7])
    with pytest.raises(train.CheckpointError, match="bad.safetensors"):
        fit(tmp_path / "other", resume=bad)


def test_more_epochs_than_at_first(tmp_path):
    fit(tmp_path / "a", epochs=1)
    fit(tmp_path / "a", resume="auto", epochs=3)
    fit(tmp_path / "b", epochs=3)
    a, b = (checkpoint.latest(tmp_path / run / "checkpoints", pytest.fail) for run in "ab")
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in b.arrays)


def test_a_plateau_remembers(tmp_path, monkeypatch):
    net = tiny.net(epochs=6, schedule=nn.Plateau(patience=1, drops=10), lr=0.03)
    fit(tmp_path / "a", net)
    signal_at(monkeypatch, 45)
    with pytest.raises(train.Interrupted):
        fit(tmp_path / "b", net)
    monkeypatch.undo()
    fit(tmp_path / "b", net, resume="auto")
    a, b = (checkpoint.latest(tmp_path / run / "checkpoints", pytest.fail) for run in "ab")
    assert a.meta["schedule"] == b.meta["schedule"]
    assert a.meta["schedule"]["courses"][0]["drops"] > 0
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays)


def test_a_run_goes_on_in_another_folder(whole, tmp_path, monkeypatch):
    signal_at(monkeypatch, 20)
    with pytest.raises(train.Interrupted):
        fit(tmp_path / "a")
    monkeypatch.undo()
    model = fit(tmp_path / "b", resume=tmp_path / "a")
    assert model.outcome.run == tmp_path / "b"
    lines = [len(metrics.read(run / "metrics.jsonl")) for run in (whole, tmp_path / "b")]
    assert lines[0] == lines[1]
    a, b = (checkpoint.latest(run / "checkpoints", pytest.fail) for run in (whole, tmp_path / "b"))
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays)


def test_a_checkpoint_by_name_takes_its_run_back(whole, tmp_path):
    fit(tmp_path, keep=9)
    fit(None, resume=tmp_path / "checkpoints/step-0000000013.safetensors", keep=9)
    found = checkpoint.load(tmp_path / "checkpoints/step-0000000039.safetensors")
    expected = checkpoint.load(whole / "checkpoints/step-0000000039.safetensors")
    assert found.meta == expected.meta


def test_auto_without_a_folder_is_the_newest_run_of_the_net(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun = fit(None, resume="auto", epochs=1).outcome.run
    fit(None, tiny.net(name="other"), epochs=1)
    assert fit(None, resume="auto", epochs=3).outcome.run == begun
    assert len(list(Path("runs").iterdir())) == 2


def begun(run: Path, line: str, seconds: int) -> Path:
    """A run that was killed before its first checkpoint, so many seconds from now."""
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text(line)
    when = time.time() + seconds
    os.utime(run / "metrics.jsonl", (when, when))
    return run


def test_auto_takes_the_run_that_was_killed_before_its_first_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit(None, epochs=1)
    begun(Path("runs/tiny-of-another"), '{"kind": "run", "step": 0, "net": "tiny-of-another"}\n', 99)
    killed = begun(Path("runs/first"), '{"kind": "run", "step": 0, "net": "tiny"}\n', 60)
    assert fit(None, resume="auto", epochs=1).outcome.run == killed
    assert "--resume auto: runs/first has no checkpoint yet; it begins anew\n" in capsys.readouterr().err
    os.utime(killed / "metrics.jsonl", (1, 1))
    for torn in ("", '{"kind": "run", "st', "[]\n", '{"net": 5}\n'):  # its name says what its metrics do not
        shutil.rmtree("runs/tiny-20990101-000000", ignore_errors=True)
        run = begun(Path("runs/tiny-20990101-000000"), torn, 70)
        begun(Path(f"runs/tiny-two-{len(torn)}"), torn, 80)
        assert runs.last_run_of("tiny") == run


def test_auto_finds_a_run_of_any_name_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit("runs/first", epochs=1)
    assert fit(None, resume="auto").outcome.run == Path("runs/first")
    assert "--resume auto: goes on with runs/first\nresumed from runs/first/checkpoints/" in capsys.readouterr().err
    fit("here", resume="auto", epochs=1)
    assert "--resume auto: no run in here yet; a new one begins\n" in capsys.readouterr().err
    fit(None, tiny.net(name="other"), resume="auto", epochs=1)
    assert "--resume auto: no run of net 'other' in runs/; a new one begins\n" in capsys.readouterr().err


def test_a_net_whose_name_is_no_file_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = tiny.net(name="mine/v1 [a]")
    run = fit(None, net, epochs=1).outcome.run
    assert run.parent == Path("runs") and run.name.startswith("mine_v1__a_-")
    (run / "metrics.jsonl").unlink()  # its name alone says what it is
    assert runs.last_run_of(net.name) == run


def test_auto_begins_where_there_is_nothing(whole, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "run", "step": 0}\n{"kind": "train", "step": 1}\n')
    fit(tmp_path, resume="auto")  # killed before its first checkpoint
    assert_same_run(whole, tmp_path)


def test_a_run_that_has_ended_stays_as_it_is(whole, tmp_path):
    first = fit(tmp_path)
    before = first.outcome.metrics.read_bytes()
    again = fit(tmp_path, resume="auto")
    assert first.outcome.metrics.read_bytes() == before
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert again.outcome.validation.top1 == first.outcome.validation.top1


def test_a_folder_with_another_run_is_not_overwritten(whole, tmp_path):
    with pytest.raises(RunDirectoryError, match=r"holds another run; go on with it \(--resume auto\)"):
        fit(whole)
    fit(tmp_path, epochs=1)
    with pytest.raises(RunDirectoryError, match="holds another run"):
        fit(tmp_path, resume=whole)


OTHERS = {
    r"net \(tiny there, mine here\)": lambda: {"net": tiny.net(name="mine")},
    r"net's towers \(2 there, 1 here\)": lambda: {"net": tiny.net(towers=1)},
    r"net's layer 'conv1'": lambda: {"net": tiny.net(std=0.5)},
    r"batch \(8 there, 16 here\)": lambda: {"batch": 16},
    r"lr \(0.01 there, 0.5 here\)": lambda: {"lr": 0.5},
    r"epochs \(3 there, 2 here\)": lambda: {"epochs": 2},
    r"seed \(0 there, 1 here\)": lambda: {"seed": 1},
    r"frozen \(\[\] there, \['conv1'\] here\)": lambda: {"freeze": ["conv1"]},
    r"subset of the training images": lambda: {"subset": np.arange(50)},
    r"images \(tiny: 100 training": lambda: {"store": tiny.store(seed=1)},
    r"evaluate \(True there, False here\)": lambda: {"evaluate": False},
    r"precision \(fp32 there, bf16 here\)": lambda: {"precision": "bf16"},
    r"batch .*, lr .*, seed ": lambda: {"batch": 4, "lr": 0.5, "seed": 4},
}


def files_of(run: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*") if path.suffix)


@pytest.mark.parametrize("what", OTHERS)
def test_another_run_is_refused_by_what_differs(what, whole):
    before = files_of(whole)
    with pytest.raises(train.CheckpointError, match=f"it differs in {what}") as caught:
        fit(whole, resume="auto", **OTHERS[what]())
    assert "\n" not in str(caught.value)
    assert files_of(whole) == before


def test_other_devices_and_workers_are_allowed(whole, tmp_path, monkeypatch):
    signal_at(monkeypatch, 20)
    with pytest.raises(train.Interrupted):
        fit(tmp_path)
    monkeypatch.undo()
    fit(tmp_path, resume="auto", devices="cpu,cpu", workers=3)
    a, b = (checkpoint.latest(run / "checkpoints", pytest.fail) for run in (whole, tmp_path))
    for name in a.arrays:
        np.testing.assert_allclose(b.arrays[name], a.arrays[name], rtol=1e-2, atol=1e-4)


def test_other_threads_of_the_products_are_noted(whole, tmp_path, monkeypatch, capsys):
    fit(tmp_path, epochs=1)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "77")
    fit(tmp_path, resume="auto", epochs=1)
    assert "NumPy now has 77 threads" in capsys.readouterr().err
