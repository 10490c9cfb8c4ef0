"""metrics.jsonl through kills, resumes and full disks, and the averages."""

import json
import math
import resource

import numpy as np
import pytest

from alexnet_cuda.train import metrics
from alexnet_cuda.train.metrics import Meter, MetricsFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def steps(path):
    return [line["step"] for line in metrics.read(path)]


def test_lines_are_json_and_at_once_in_the_file(path):
    file = MetricsFile(path, pytest.fail)
    file.append("run", step=0, net="mini", sizes=(3, 32))
    file.append("train", step=np.int64(1), loss=np.float32(0.5), top1=1 / 3)
    assert path.read_text() == (
        '{"kind": "run", "step": 0, "net": "mini", "sizes": [3, 32]}\n'
        f'{{"kind": "train", "step": 1, "loss": 0.5, "top1": {1 / 3!r}}}\n'
    )
    assert file.lines == 2
    file.close()
    file.close()


def test_what_json_has_no_number_for(path):
    file = MetricsFile(path, pytest.fail)
    values = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": np.float32(np.nan), "e": None, "f": [math.nan]}
    file.append("train", step=1, **values)

    def refuse(name):
        raise AssertionError(name)

    json.loads(path.read_text(), parse_constant=refuse)
    back = metrics.read(path)[0]
    assert math.isnan(back["a"]) and back["b"] == math.inf and back["c"] == -math.inf and math.isnan(back["d"])
    assert back["e"] is None and back["f"] == ["NaN"]


@pytest.mark.parametrize(
    "torn", ['{"kind": "tr', '{"kind": "train", "step": 3, "loss": 0.5, "top1"', '{"kind": "train", "step": 3}', "{"]
)
def test_a_torn_last_line(path, torn):
    file = MetricsFile(path)
    for step in (1, 2):
        file.append("train", step=step)
    file.close()
    whole = path.read_text()
    path.write_text(whole + torn)  # killed before the newline was out
    assert steps(path) == [1, 2]
    file = MetricsFile(path)
    assert file.lines == 2
    file.append("train", step=4)
    assert path.read_text() == whole + '{"kind": "train", "step": 4}\n'


def test_a_line_that_is_not_json_is_named(path):
    path.write_text('{"kind": "run"}\nnot json\n{"kind": "train"}\n')
    with pytest.raises(ValueError, match="line 2 is not JSON; fix: "):
        metrics.read(path)


def run(path, first, last, after=None):
    """A run's lines: one a step, and at every fourth a validation; `after` is called when a step is done."""
    file = MetricsFile(path, pytest.fail)
    if file.lines == 0:
        file.append("run", step=0)
    for step in range(first + 1, last + 1):
        file.append("train", step=step, loss=1 / step)
        if step % 4 == 0:
            file.append("validation", step=step, loss=2 / step)
        if after is not None:
            after(step, file)
    return file


@pytest.mark.parametrize("kept", range(13))
def test_resumed_leaves_the_file_of_an_uninterrupted_run(path, kept, tmp_path):
    run(tmp_path / "whole.jsonl", 0, 12).close()
    lines = {}
    run(path, 0, 12, after=lambda step, file: lines.update({step: file.lines})).close()
    file = MetricsFile(path)
    file.rewind(kept, lines.get(kept, 1))
    assert file.lines == lines.get(kept, 1)
    file.close()
    run(path, kept, 12).close()
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.jsonl", "whole.jsonl"]


def test_a_checkpoint_between_two_lines_of_a_step(path):
    """Saved before the evaluation of step 4, killed after its line: the evaluation is done again, its line dropped."""
    file = run(path, 0, 4)
    file.rewind(4, file.lines - 1)
    file.append("validation", step=4)
    assert [(line["kind"], line["step"]) for line in metrics.read(path)][-2:] == [("train", 4), ("validation", 4)]
    assert file.lines == 6


def test_rewind_by_step_alone_drops_what_cannot_be_read_too(path):
    run(path, 0, 6).close()
    with path.open("a") as text:
        text.write('rubbish\n[1]\n{"step": "x"}\n')
    file = MetricsFile(path)
    file.rewind(3)
    file.append("train", step=4)
    assert steps(path) == [0, 1, 2, 3, 4]


def test_a_full_disk_stops_nothing_and_loses_nothing(path):
    told = []
    file = MetricsFile(path, told.append)
    file.append("train", step=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, hard))  # the second line fits in part, the third not at all
    try:
        file.append("train", step=2)
        file.append("train", step=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(told) == 1 and str(path) in told[0]
    assert file.lines == 3 and steps(path) == [1]
    file.append("train", step=4)
    file.sync()
    assert steps(path) == [1, 2, 3, 4] and len(path.read_text().splitlines()) == 4


def test_the_meter_weighs_by_images():
    meter = Meter()
    assert meter.images == 0 and math.isnan(meter.loss) and math.isnan(meter.top1)
    meter.add(2.0, (10, 30), 100)
    meter.add(0.5, (5, 10), 20)
    meter.add(math.nan, (0, 0), 0)  # a batch of padding
    assert meter.images == 120
    assert meter.loss == pytest.approx(210 / 120) and meter.top1 == 15 / 120 and meter.top5 == 40 / 120
    meter.reset()
    assert meter.images == 0 and math.isnan(meter.top5)


def test_the_meter_goes_on_to_the_bit():
    draws = np.random.default_rng(0)
    batches = [(float(draws.random()), (int(draws.integers(5)), 7), 8) for _ in range(50)]
    whole, first, second = Meter(), Meter(), Meter()
    for batch in batches:
        whole.add(*batch)
    for batch in batches[:20]:
        first.add(*batch)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    for batch in batches[20:]:
        second.add(*batch)
    assert second.state_dict() == whole.state_dict() and second.loss == whole.loss


def test_the_meters_state_with_an_infinite_loss():
    meter, other = Meter(), Meter()
    meter.add(math.inf, (0, 0), 3)
    other.load_state_dict(json.loads(json.dumps(meter.state_dict(), allow_nan=False)))
    assert other.loss == math.inf
