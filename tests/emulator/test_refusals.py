"""What a kernel must not do fails to compile, on the emulator as under nvcc or earlier than there."""

import shlex
import subprocess

import building
import pytest

FRAME = """
#include "simt/simt.h"
#include <string>
struct Made {{ int x; Made() : x(1) {{}} }};
__global__ void plain(float* y) {{ y[0] = 1; }}
__global__ void by_reference(float& y) {{ y = 1; }}
__global__ void with_a_string(std::string text) {{ (void)text; }}
__global__ void kernel(float* y) {{ (void)y; {kernel} }}
void launcher(float* y) {{ simt::launch(kernel, 1, 32, 0, 0, y); {launcher} }}
"""


def compiles(kernel: str = "", launcher: str = "") -> tuple[bool, str]:
    text = FRAME.format(kernel=kernel, launcher=launcher)
    arguments = [*shlex.split(building.CXX), *building.COMMON, "-fsyntax-only", "-x", "c++", "-"]
    done = subprocess.run(arguments, input=text, capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def test_the_frame_compiles():
    kernel = "SIMT_SHARED(tile, float[4]); tile[0] = 0; simt::barrier_sync<15>(32); y[0] = tile[0];"
    assert compiles(kernel, "simt::launch(plain, 1, 1, 0, 0, y);") == (True, "")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"kernel": "atomicAdd(y, 1.0f);"}, "deleted function"),
        ({"kernel": "y[0] = __activemask();"}, "deleted function"),
        ({"kernel": "__shared__ float tile[4];"}, "__shared__"),
        ({"kernel": "SIMT_SHARED(made, Made); y[0] = made.x;"}, "shared memory has no constructors"),
        ({"kernel": "simt::barrier_sync<16>(32);"}, "named barriers are 1 to 15"),
        ({"kernel": "y[0] = min(1.0f, 2.0f);"}, "no matching function"),
        ({"launcher": "simt::launch(by_reference, 1, 1, 0, 0, y[0]);"}, "passed by value"),
        ({"launcher": "simt::launch(with_a_string, 1, 1, 0, 0, std::string());"}, "trivially copyable"),
        ({"launcher": "simt::launch(plain, 1, 1, 0, 0);"}, "wrong number of kernel arguments"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value.values())),
)
def test_it_is_refused(part, message):
    accepted, text = compiles(**part)
    assert not accepted
    assert message in text
