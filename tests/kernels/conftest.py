"""Where single Hopper kernels are called: the emulator, and with the marker `gpu` the GPU of this machine."""

import pytest
from kernels.hopper import EMULATOR, Gpu


@pytest.fixture(params=["emulated", pytest.param("cuda", marks=pytest.mark.gpu)])
def machine(request):
    if request.param == "emulated":
        return EMULATOR
    gpu = Gpu()
    if gpu.capability != "90":
        pytest.skip(f"kernels for compute capability 9.0 alone, not {gpu.capability}")
    return gpu
