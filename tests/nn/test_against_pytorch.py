"""A second opinion where PyTorch happens to be installed: the same net, weights and images give the same numbers."""

import numpy as np
import pytest

from alexnet_cuda import nn

torch = pytest.importorskip("torch", reason="PyTorch is optional: it gives a second opinion")


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
@pytest.mark.parametrize("name", ["alexnet_mini", "alexnet_torchvision"])
def test_logits_loss_and_gradients(name, devices):
    from torch_net import load_weights, torch_net

    net = nn.preset(name, classes=10)
    if net.towers == 1 and "," in devices:
        pytest.skip("one tower")
    batch = 4
    weights = net.initial(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *net.input_shape)).astype(np.float32)
    labels = rng.integers(0, 10, batch).astype(np.int32)

    graph = nn.place(net, nn.devices(devices), batch)
    graph.set_weights(weights)
    graph.feed_array(np.ascontiguousarray(x.transpose(1, 2, 3, 0)), labels)
    graph.differentiate()

    module = torch_net(net).eval()
    load_weights(module, weights)
    logits = module(torch.from_numpy(x))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels.astype(np.int64)))
    loss.backward()

    expected = logits.detach().numpy().T
    np.testing.assert_allclose(graph.logits(), expected, atol=1e-4 * np.abs(expected).max())
    assert graph.result().loss == pytest.approx(loss.item(), rel=1e-4)
    for name, got in graph.gradients().items():
        layer, short = name.rsplit(".", 1)
        tensor = getattr(getattr(module, layer), "weight" if short == "w" else "bias").grad.numpy()
        if short == "w":
            tensor = tensor.transpose(1, 2, 3, 0) if tensor.ndim == 4 else tensor.T
        assert np.abs(tensor).max() > 0
        np.testing.assert_allclose(got, tensor, atol=1e-4 * np.abs(tensor).max(), err_msg=name)
