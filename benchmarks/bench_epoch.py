"""One epoch of alexnet_mini on the embedded images: this package against the same net in PyTorch, on the same CPU.

    pip install torch
    python benchmarks/bench_epoch.py [--rounds 3] [--json benchmarks/results/epoch-<machine>.json]

Both train on minibatches of the same images, cropped at random: here inside the clock, shuffled anew each epoch; for
PyTorch outside it, the first epoch's again and again. Both update with momentum and weight decay, and read the loss
of every step. PyTorch runs in both memory layouts, and the better one counts. Epochs alternate, so that a busy moment
hits all.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from bench_cpu import OtherWork, environment
from torch_net import load_weights, torch_net

from alexnet_cuda import data, nn
from alexnet_cuda.data.loader import Batch, Loader

SIZE = 36  # stored images; the net sees crops of 32
MOMENTUM, DECAY, RATE = 0.9, 5e-4, 1e-3


def ours(net: nn.Net, store: data.Store, loader: Loader, devices: str) -> Callable[[int], float]:
    """An epoch with the loader's threads, augmentation, and a graph on `devices`; returns the mean loss."""
    graph = nn.place(net, nn.devices(devices), loader.batch, mean=store.mean_image)
    weights = net.initial(0)
    graph.set_weights(weights)
    graph.set_momenta({name: np.zeros_like(value) for name, value in weights.items()})
    rates = {name: nn.Rate(RATE * p.lr, DECAY * p.decay) for name, p in net.parameters.items()}

    def epoch(number: int) -> float:
        losses = []
        with closing(loader.epoch(number)) as batches:
            for step, batch in enumerate(batches):
                graph.feed(batch.images, batch.labels, batch.offsets, batch.flips, batch.color_shift)
                graph.train_step(step, rates, MOMENTUM)
                losses.append(graph.result().loss)
        return float(np.mean(losses))

    return epoch


def crops(batch: Batch, mean: np.ndarray, net: nn.Net) -> tuple[torch.Tensor, torch.Tensor]:
    """The images of a batch as PyTorch takes them, float [N, 3, H, W], less the mean and scaled, and labels."""
    size = net.input_shape[1]
    edge = (mean.shape[0] - size) // 2
    centre = mean[edge : edge + size, edge : edge + size]
    x = np.empty((len(batch.images), size, size, mean.shape[2]), np.float32)
    for n, (image, (top, left), flip) in enumerate(zip(batch.images, batch.offsets, batch.flips, strict=True)):
        cut = image[top : top + size, left : left + size]
        x[n] = ((cut[:, ::-1] if flip else cut) - centre) * net.recipe.pixel_scale
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(batch.labels.astype(np.int64))


def pytorch(net: nn.Net, store: data.Store, loader: Loader, layout: torch.memory_format) -> Callable[[int], float]:
    """An epoch of the same net in PyTorch, eager, in float32."""
    module = torch_net(net).to(memory_format=layout).train()
    load_weights(module, net.initial(0))
    biases = [p for name, p in module.named_parameters() if name.endswith("bias")]
    weights = [p for name, p in module.named_parameters() if not name.endswith("bias")]
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM)
    with closing(loader.epoch(0)) as batches:
        ready = [crops(batch, store.mean_image, net) for batch in batches]
    ready = [(x.contiguous(memory_format=layout), labels) for x, labels in ready]

    def epoch(number: int) -> float:
        losses = []
        for x, labels in ready:
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(module(x), labels, ignore_index=-1)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="timed epochs of each contender (default 3)")
    parser.add_argument("--threads", type=int, help="PyTorch's threads (default: its own choice)")
    parser.add_argument("--json", type=Path, help="write results and environment to this file")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("argument --rounds: wanted at least 1")
    if options.threads:
        torch.set_num_threads(options.threads)

    net, store = nn.preset("alexnet_mini"), data.sample(SIZE)
    loader = Loader(store.train, store, batch=128, crop=net.input_shape[1], training=True)
    contenders = {
        "alexnet_cuda, cpu": ours(net, store, loader, "cpu"),
        "alexnet_cuda, cpu,cpu": ours(net, store, loader, "cpu,cpu"),
        "PyTorch, NCHW": pytorch(net, store, loader, torch.contiguous_format),
        "PyTorch, NHWC": pytorch(net, store, loader, torch.channels_last),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    others = OtherWork()
    for number in range(options.rounds + 1):  # the first one warms up
        for name, epoch in contenders.items():
            start = time.perf_counter()
            epoch(number)
            if number:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    best = min(value for name, value in medians.items() if name.startswith("PyTorch"))
    print(
        f"seconds an epoch of {len(loader)} batches of {loader.batch}, median of {options.rounds}, and against PyTorch"
    )
    for name, value in medians.items():
        print(f"{name:24s}{value:8.2f}{value / best:8.2f}x")
    share = others.share()
    print(f"other processes took {share} of the CPUs meanwhile")
    if options.json:
        result = {
            "environment": {**environment(), "torch": torch.__version__, "torch_threads": torch.get_num_threads()},
            "net": net.name, "batch": loader.batch, "images": loader.images, "seconds": seconds,
            "ratio_to_best_pytorch": {name: round(value / best, 3) for name, value in medians.items()},
            "share_of_cpus_taken_by_others": share,
        }  # fmt: skip
        options.json.write_text(json.dumps(result, indent=1) + "\n")
        print(f"wrote {options.json}")


if __name__ == "__main__":
    main()
