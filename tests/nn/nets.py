"""Small nets for the tests: two towers, every kind of layer, weights large enough for gradients to show."""

import numpy as np

from alexnet_cuda import nn

BATCH = 6
LARGE = nn.Normal(0.3)


def weights(sees="all", width=1):
    return {"init": nn.Normal(LARGE.std / width**0.5), "bias": 0.1, "sees": sees}


def like_alexnet(on=None, width=1):
    """AlexNet's shape in small: own and shared towers, both norms, both kinds of pooling and of dropout.

    width: times as many maps and features, with weights that leave the size of sums as it is.
    """
    own, shared = weights("own", width), weights("all", width)
    return nn.Net(
        [
            nn.Conv(8 * width, 3, pad=1, init=nn.Normal(0.5)), nn.ReLU(), nn.LRN(alpha=0.01),
            nn.MaxPool(ceil_mode=True),
            nn.Conv(8 * width, 3, pad=1, **own), nn.ReLU(), nn.LRNWithinChannel(3, alpha=0.02),
            nn.MaxPool(ceil_mode=True),
            nn.Conv(12 * width, 3, pad=1, **shared), nn.Tanh(), nn.Dropout(0.7),
            nn.Conv(8 * width, 3, pad=1, **own), nn.AvgPool(), nn.Sigmoid(),
            nn.FullyConnected(16 * width, **shared), nn.ReLU(), nn.Dropout(inverted=False),
            nn.FullyConnected(12 * width, **own), nn.ReLU(),
            nn.FullyConnected(6, **shared, on=on),
        ],
        input_shape=(3, 13, 11), towers=2, name="small",
    )  # fmt: skip


def integers(width=1):
    """Sums only, so integer weights and inputs give results that floats hold exactly. width: times as many maps and
    features."""
    return nn.Net(
        [
            nn.Conv(4 * width, 3, pad=1), nn.ReLU(), nn.MaxPool(2, 2),
            nn.Conv(4 * width, 3, pad=1, sees="own"), nn.ReLU(), nn.MaxPool(3, 2, ceil_mode=True),
            nn.FullyConnected(6 * width), nn.ReLU(), nn.FullyConnected(4, on=1),
        ],
        input_shape=(2, 8, 8), towers=2, name="integers",
    )  # fmt: skip


def placed(net, devices, seed=3, dtype=np.float64, images=BATCH, **options):
    """A graph with the net's initial weights."""
    devices = nn.devices(devices) if isinstance(devices, str) else devices
    precision = next(p.name for p in nn.PRECISIONS.values() if p.compute == dtype)
    graph = nn.place(net, devices, images, precision=precision, seed=5, **options)
    graph.set_weights(net.initial(seed))
    return graph


def batch(net, step, images=BATCH):
    """Images and labels, different for each step; the last image is padding."""
    rng = np.random.default_rng(step)
    labels = rng.integers(0, net.classes, images).astype(np.int32)
    labels[-1] = -1
    return rng.standard_normal((*net.input_shape, images)), labels


def rates(net, lr=0.05):
    return {name: nn.Rate(lr * p.lr, 0.01 * p.decay) for name, p in net.parameters.items()}
