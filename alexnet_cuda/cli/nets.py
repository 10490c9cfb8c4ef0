"""Nets named on the command line: presets, and nets in a user's Python file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from ..nn.net import Net
from ..nn.presets import preset, with_classes


def load_net(spec: str, classes: int | None = None) -> Net:
    """The preset called `spec`, or the net NAME of a Python file where spec is FILE.py:NAME.

    classes: outputs of the last layer, where they are to differ. The file is run, as `python FILE.py` would.
    Raises ValueError, one line, for an unknown preset, a file that is not there or fails, and a name that is no net.
    """
    file, colon, name = spec.rpartition(":")
    if not colon and not spec.endswith(".py"):
        return preset(spec, classes)
    if not colon or not name:
        path = spec.removesuffix(":")
        raise ValueError(f"net '{spec}': which net of the file? Say {path}:NAME")
    values = _run(Path(file))
    if name not in values:
        nets = [key for key, value in values.items() if isinstance(value, Net)]
        raise ValueError(f"{file} has no '{name}'; nets in it: {', '.join(nets) or 'none'}")
    net = values[name]
    if not isinstance(net, Net):
        raise ValueError(f"'{name}' in {file} is of type {type(net).__name__}, wanted nn.Net")
    return net if classes is None else with_classes(net, classes)


def _run(path: Path) -> dict[str, Any]:
    """The names that a Python file defines."""
    if not path.is_file():
        raise ValueError(f"no file '{path}'; a net is a preset's name or FILE.py:NAME")
    module_name = f"alexnet_cuda_net_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"'{path}' is no Python file; a net is a preset's name or FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # classes defined in the file look themselves up there
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # the file may import its neighbours
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}{_line(error, path)}: {type(error).__name__}: {reason}") from error
    finally:
        sys.path.remove(folder)
    return vars(module)


def _line(error: BaseException, path: Path) -> str:
    """Where in the file it happened, where that is known; a syntax error says so itself."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).absolute() == path.absolute()]
    return f", line {lines[-1]}" if lines else ""
