"""`alexnet-cuda info --net`: the table of a net, and nets from Python files."""

import re

import pytest

from alexnet_cuda.cli import main
from alexnet_cuda.cli.nets import load_net
from alexnet_cuda.nn.presets import PRESETS, preset

NET_FILE = """
from alexnet_cuda.nn.layers import Conv, FullyConnected, ReLU
from alexnet_cuda.nn.net import Net

SIZE = 3
net = Net([Conv(4, SIZE), ReLU(), FullyConnected(5)], (3, 8, 8), name="mine")
"""


@pytest.fixture
def net_file(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text(NET_FILE)
    return path


def printed(capsys, *arguments: str) -> str:
    assert main(["info", *arguments]) == 0
    return capsys.readouterr().out


def row(text: str, name: str) -> list[str]:
    """The cells of a layer's row, settings included as the last one."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
    return re.split(r" {2,}", line)


def test_the_table_of_2012(capsys):
    text = printed(capsys, "--net", "alexnet_2012")
    assert row(text, "conv1")[:6] == ["conv1", "96x55x55", "34,944", "105,415,200", "both", "all"]
    assert row(text, "conv2")[:6] == ["conv2", "256x27x27", "307,456", "223,948,800", "both", "own"]
    assert row(text, "fc8")[:6] == ["fc8", "1000", "4,097,000", "4,096,000", "0", "all"]
    assert row(text, "relu1") == ["relu1", "96x27x27", "both"]
    assert row(text, "conv4")[6] == "384 of 3x3 pad 1 ceil, std 0.03, bias 1, bias rate x2"
    assert row(text, "mapnorm2")[3] == "over 5 x 5 pixels, alpha 4e-05, beta 0.75, k 2"
    assert row(text, "drop6")[3] == "keep 0.5, scaled in evaluation"
    assert row(text, "total") == ["total", "60,965,224", "724,406,816"]
    assert "659,272 neurons" in text
    assert "frozen from epoch 72 (conv1)" in text
    assert "layers-145.cfg" in text


def test_the_columns_line_up(capsys):
    text = printed(capsys, "--net", "alexnet_2012").splitlines()
    header = next(line for line in text if line.startswith("layer"))
    for name in ("conv3", "fc7", "total"):
        line = next(line for line in text if line.startswith(name))
        end = header.index("multiply-adds") + len("multiply-adds")
        assert line[end - 1].isdigit()
        assert line[end : end + 1] in ("", " ")


def test_one_tower_has_no_columns_of_towers(capsys):
    text = printed(capsys, "--net", "alexnet_textbook")
    assert row(text, "layer") == ["layer", "output", "parameters", "multiply-adds", "settings"]
    assert "237.95 MiB" in text
    assert "convolutions: 94.8% of the multiply-adds, 6.0% of the parameters" in text


def test_the_recipe_names_the_schedule_of_biases(capsys):
    text = printed(capsys, "--net", "alexnet_owt")
    assert "schedule  down by 250 in 4 equal logarithmic steps\n  biases  down by 10 in 2 equal" in text


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_prints_each_of_its_layers(capsys, name):
    text = printed(capsys, "--net", name)
    for layer in preset(name).layers:
        assert len(row(text, layer.name)) >= 2
    assert max(map(len, text.splitlines())) <= 140


def test_classes(capsys):
    assert row(printed(capsys, "--net", "lenet5", "--classes", "7"), "fc5")[1] == "7"
    assert main(["info", "--classes", "7"]) == 2
    assert capsys.readouterr().err == "alexnet-cuda: info: --classes needs --net\n"


def test_a_net_from_a_file(capsys, net_file):
    text = printed(capsys, "--net", f"{net_file}:net")
    assert text.startswith("mine: 3x8x8 pixels in, 5 classes, 1 tower\n")
    assert row(text, "conv1")[1] == "4x6x6"
    assert load_net(f"{net_file}:net", classes=9).classes == 9


def test_a_file_may_import_its_neighbours(tmp_path):
    (tmp_path / "sizes_of_my_net.py").write_text("SIZE = 5\n")
    text = NET_FILE.replace("SIZE = 3", "from sizes_of_my_net import SIZE")
    (tmp_path / "uses_neighbour.py").write_text(text)
    assert load_net(f"{tmp_path}/uses_neighbour.py:net").place_of("conv1").output == (4, 4, 4)


@pytest.mark.parametrize(
    "spec, message",
    [
        ("alexnet_2013", r"unknown preset 'alexnet_2013' \(did you mean 'alexnet_2012'\?\); there are .*lenet5"),
        ("{folder}/my_net.py", "which net of the file[?] Say .*my_net.py:NAME"),
        ("{folder}/my_net.py:", "which net of the file[?] Say .*my_net.py:NAME"),
        ("{folder}/your_net.py:net", "no file '.*your_net.py'; a net is a preset's name or FILE.py:NAME"),
        ("{folder}/my_net.py:other", "my_net.py has no 'other'; nets in it: net"),
        ("{folder}/my_net.py:SIZE", "'SIZE' in .*my_net.py is of type int, wanted nn.Net"),
        ("{folder}/my_net.txt:net", "'.*my_net.txt' is no Python file"),
        ("{folder}/broken.py:net", "broken.py, line 6: ValueError: layer 'conv1': argument 'filters': got 0"),
        ("{folder}/syntax.py:net", "syntax.py: SyntaxError: .*line 1"),
    ],
)
def test_mistakes_are_one_line_and_status_2(capsys, net_file, spec, message):
    folder = net_file.parent
    (folder / "my_net.txt").write_text(NET_FILE)
    (folder / "broken.py").write_text(NET_FILE.replace("Conv(4", "Conv(0"))
    (folder / "syntax.py").write_text("net = [\n")
    assert main(["info", "--net", spec.format(folder=folder)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert re.fullmatch(f"alexnet-cuda: .*{message}.*\n", output.err), output.err


def test_a_file_named_without_its_folder(net_file, monkeypatch, capsys):
    monkeypatch.chdir(net_file.parent)
    assert load_net("my_net.py:net").name == "mine"
    net_file.write_text("1 / 0\n")
    assert main(["info", "--net", "my_net.py:net"]) == 2
    assert capsys.readouterr().err == "alexnet-cuda: my_net.py, line 1: ZeroDivisionError: division by zero\n"


def test_a_file_that_ends_the_process_is_a_mistake_too(net_file, capsys):
    net_file.write_text("import sys\nsys.exit(3)\n")
    assert main(["info", "--net", f"{net_file}:net"]) == 2
    assert "line 2: SystemExit: 3" in capsys.readouterr().err
