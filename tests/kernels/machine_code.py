"""What nvcc made of the kernels, read from the built extension `_cuda`: registers, stack and instructions."""

import functools
import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alexnet_cuda import config

WHEELS = {"cuobjdump": "nvidia-cuda-cuobjdump", "nvdisasm": "nvidia-cuda-nvdisasm"}


@dataclass(frozen=True)
class Usage:
    """One kernel on one architecture. stack: bytes of a thread, most of which are spilled registers."""

    kernel: str
    architecture: str
    registers: int
    shared: int
    stack: int


def tool(name: str) -> Path | None:
    """Of the CUDA toolkit, or of the wheel that brings it."""
    if found := shutil.which(name):
        return Path(found)
    try:
        files = importlib.metadata.files(WHEELS[name]) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(file.locate()) for file in files if file.name == name), None)


def why_not() -> str:
    """Why the module cannot be looked at, or nothing."""
    if config.load("_cuda")[0] is None:
        return "_cuda was not built"
    missing = [name for name in WHEELS if tool(name) is None]
    if shutil.which("c++filt") is None:
        missing.append("c++filt")
    return f"needs {', '.join(missing)}" if missing else ""


def ask(*options: str, readable: bool = True) -> str:
    """What cuobjdump says of the module."""
    module, _ = config.load("_cuda")
    program, disassembler = tool("cuobjdump"), tool("nvdisasm")
    assert module is not None and program is not None and disassembler is not None
    for file in (program, disassembler):
        file.chmod(file.stat().st_mode | 0o100)  # pip does not always keep it
    command = [str(program), *options, str(module.__file__)]
    environment = {"PATH": f"{disassembler.parent}:/usr/bin:/bin"}
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    if not readable:
        return text
    return subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True).stdout


def short(name: str) -> str:
    """A kernel's name with its template arguments, without namespaces and parameters."""
    name = re.sub(r"alexnet::|\(anonymous namespace\)::|^void ", "", name)
    depth = 0
    for i in range(len(name) - 1, -1, -1):  # back to where the parameters begin
        depth += {")": 1, "(": -1}.get(name[i], 0)
        if depth == 0:
            return name[:i] if name.endswith(")") else name
    return name


FUNCTION = re.compile(r"Function (?P<kernel>.+):\n +REG:(?P<registers>\d+) STACK:(?P<stack>\d+) SHARED:(?P<shared>\d+)")


def parsed_usages(text: str) -> list[Usage]:
    usages = []
    for part in re.split(r"^arch = sm_", text, flags=re.MULTILINE)[1:]:
        architecture = part.split()[0]
        for match in FUNCTION.finditer(part):
            numbers = {name: int(match[name]) for name in ("registers", "shared", "stack")}
            if architecture.startswith("9") and numbers["shared"]:
                numbers["shared"] -= 1024  # the system's own on Hopper
            usages.append(Usage(short(match["kernel"]), architecture, **numbers))
    return usages


@functools.cache
def usages() -> list[Usage]:
    return parsed_usages(ask("-res-usage"))


@functools.cache
def symbols_by_file() -> str:
    return ask("-res-usage", readable=False)


def code(wanted: Callable[[str, str], bool]) -> dict[str, list[str]]:
    """Instructions, on sm_90a, of the kernels whose source file and symbol are wanted."""
    symbols = []
    for part in re.split(r"^arch = sm_", symbols_by_file(), flags=re.MULTILINE)[1:]:
        source = re.search(r"^identifier = (.*)$", part, re.MULTILINE)
        if part.split()[0] == "90a" and source is not None:
            names = re.findall(r"^ Function (\S+):$", part, re.MULTILINE)
            symbols += [name for name in names if wanted(source[1], name)]
    if not symbols:
        return {}
    text = ask("-sass", "-arch", "sm_90a", "-fun", ",".join(symbols))
    kernels = {}
    for part in re.split(r"^\s*Function : ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        kernels[short(name.strip())] = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;", body)
    return kernels


@functools.cache
def hopper_code() -> dict[str, list[str]]:
    """Of the kernels in csrc/kernels/*/hopper."""
    return code(lambda source, symbol: "/hopper/" in source)


def dynamic_shared(instructions: list[str]) -> int:
    """Bytes of dynamic shared memory of a pipeline's block: barriers lie behind all else, and stages want multiples of
    1024 bytes."""
    matches = (re.search(r"\bSYNCS\.EXCH\b.*\+(0x[0-9a-f]+)\]", instruction) for instruction in instructions)
    last = max(int(match[1], 16) for match in matches if match)  # where the last one is initialised
    return -(-(last + 8) // 1024) * 1024


# Of float32, with wide accesses: matrix products and convolutions in tiles of 128 rows, and what moves arrays.
PRODUCTS = r"11gemm_kernelI.*4TileILi4ELi2E.*ffE|conv_(fprop|dgrad|wgrad)_kernelI.*4TileILi4ELi2E.*fLi4E"
MOVING = r"_kernelIfLi4E|dropout_kernelIfLb1E|sgd_momentum_kernelILi4E"


@functools.cache
def float32_code() -> dict[str, list[str]]:
    return code(lambda source, symbol: re.search(f"{PRODUCTS}|{MOVING}", symbol) is not None)
