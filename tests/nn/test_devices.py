"""Names of devices, and what is said of those that are not there."""

import pytest

from alexnet_cuda import config, nn
from alexnet_cuda.errors import DeviceError


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("cpu", ["cpu:0"]),
        ("cpu,cpu", ["cpu:0", "cpu:1"]),
        ("cpu:1, cpu:0", ["cpu:1", "cpu:0"]),
        ("emulated:0,emulated:1", ["emulated:0", "emulated:1"]),
        ("reference", ["reference:0"]),
    ],
)
def test_names(spec, names):
    assert [device.name for device in nn.devices(spec)] == names


@pytest.mark.parametrize("spec", ["gpu", "", "cpu:x", "cpu:", "cuda:-1", "cpu,", "tpu:0,cpu"])
def test_names_that_are_none(spec):
    with pytest.raises(ValueError, match="devices: got .*, wanted cuda:0, cpu, emulated:0 or reference"):
        nn.devices(spec)


def test_three_devices_and_mixed_ones():
    with pytest.raises(ValueError, match="one device, or two with a comma"):
        nn.devices("cpu,cpu,cpu")
    with pytest.raises(ValueError, match="two of a kind: GPUs, emulated devices, or NumPy"):
        nn.devices("cpu,cuda:0")


def test_a_gpu_that_is_not_there():
    if config.cuda_problem() is None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="fix: |driver"):
        nn.devices("cuda:0,cuda:1")
