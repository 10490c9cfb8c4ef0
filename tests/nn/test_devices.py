"""Names of devices, and what is said of those that are not there."""

import numpy as np
import pytest

from alexnet_cuda import config, nn
from alexnet_cuda.cli import main
from alexnet_cuda.errors import DeviceError


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("cpu", ["cpu:0"]),
        ("cpu,cpu", ["cpu:0", "cpu:1"]),
        ("cpu:1, cpu:0", ["cpu:1", "cpu:0"]),
        ("emulated:0,emulated:1", ["emulated:0", "emulated:1"]),
        ("emulated:0,emulated:0", ["emulated:0", "emulated:0"]),
        ("emulated:63", ["emulated:63"]),
        ("reference", ["reference:0"]),
    ],
)
def test_names(spec, names):
    assert [device.name for device in nn.devices(spec)] == names


NUMBERS_THAT_ARE_NONE = [f"{kind}:{number}" for kind in ("cpu", "cuda", "emulated") for number in (64, 99999999999)]


@pytest.mark.parametrize("spec", ["gpu", "", "cpu:x", "cpu:", "cuda:-1", "cpu,", "tpu:0,cpu", *NUMBERS_THAT_ARE_NONE])
def test_names_that_are_none(spec):
    with pytest.raises(ValueError, match="devices: got .*, wanted cuda:0, cpu, emulated:0 or reference"):
        nn.devices(spec)


def test_three_devices_and_mixed_ones():
    with pytest.raises(ValueError, match="one device, or two with a comma"):
        nn.devices("cpu,cpu,cpu")
    with pytest.raises(ValueError, match="two of a kind: GPUs, emulated devices, or NumPy"):
        nn.devices("cpu,cuda:0")
    with pytest.raises(ValueError, match="two of a kind"):
        nn.devices("cpu,emulated:0")  # what is queued on one would be read too early by the other


def test_a_gpu_that_is_not_there():
    if config.cuda_problem() is None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="fix: |driver"):
        nn.devices("cuda:0,cuda:1")


def test_an_emulated_device_copies_late():
    (device,) = nn.devices("emulated:1")
    host, pinned = np.ones(3, np.float32), device.pinned((3,), np.float32)
    pinned[:] = 1
    x, y, out = device.zeros((3,), np.float32), device.zeros((3,), np.float32), np.zeros(3, np.float32)
    device.upload(host, x)
    device.upload(pinned, y)
    device.download(y, out)
    host[:] = pinned[:] = 2
    assert np.isnan(x).all() and (out == 0).all()
    device.synchronize()
    assert (x == 1).all() and (y == 2).all() and (out == 2).all()


def test_emulated_devices_copy_from_each_other_only():
    (device,), (cpu,) = nn.devices("emulated"), nn.devices("cpu")
    with pytest.raises(DeviceError, match="emulated:0: cannot copy from cpu:0; place both towers on emulated devices"):
        device.copy_from(cpu, np.ones(3, np.float32), device.empty((3,), np.float32))


def test_help_names_every_kind(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert "cpu, cuda:0, emulated:0 (the CUDA kernels on the CPU), or two with a comma" in help_text


def test_public_names_are_sorted():
    assert nn.__all__ == sorted(nn.__all__)
