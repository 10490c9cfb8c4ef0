"""A trained net with all it takes to use it: weights, how its images are prepared, what its outputs are called."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn, ops
from ..data.loader import Batch, Loader
from ..data.store import Store
from ..nn import precision as precisions
from ..nn.graph import Graph
from ..nn.net import Net
from ..nn.precision import TRAINED
from . import inputs
from .checkpoint import Checkpoint, CheckpointError
from .evaluate import evaluate, feed, softmax
from .hardware import best_devices, usable_devices
from .inputs import Images
from .metrics import Meter
from .plan import check_fit, precision_of
from .runs import Warn, find_checkpoint, starting_weights

LARGEST_BATCH = 128
GRAPHS_KEPT = 3  # each holds a copy of the weights


@dataclass(frozen=True)
class Outcome:
    """What a run left. train, validation: means over the last epoch's images; best: {"top1", "epoch"} of the best
    validation; the last two are None without validation. best_checkpoint: the weights of that epoch."""

    run: Path
    epochs: int
    train: Meter
    validation: Meter | None
    best: dict[str, Any] | None
    metrics: Path
    curve: Path
    checkpoint: Path | None
    best_checkpoint: Path | None


class Model:
    """A net with weights.

    net: with the recipe it was trained by; weights: whole-layer parameters by name; mean: what is subtracted from the
    pixels, float32 [C] or [S, S, C], or None; size: side of the images before the net's centre crop, in pixels;
    class_names: of the outputs, in order; devices: as `nn.devices` takes them, or None for the best there are;
    precision: "fp32" or "bf16", of what is computed: weights and results are float32.
    outcome: what `train.fit` left, None for a model that was loaded.

    Images given to its methods are an array uint8 [n, H, W, C] (values 0 to 255), paths, Pillow images, or one of
    these last two. They are resized and centre-cropped as those of a store are, unless they have its size already.
    Results do not depend on how many images come at once, except in the last bits.
    """

    def __init__(
        self, net: Net, weights: dict[str, np.ndarray], *, mean: np.ndarray | None, size: int,
        class_names: tuple[str, ...], devices: str | None = None, precision: str = "fp32",
    ):  # fmt: skip
        self.net = net
        self.weights = weights
        self.mean = mean
        self.size = size
        self.class_names = class_names
        self.devices = best_devices(net) if devices is None else devices
        self.precision = precisions.named(precision, TRAINED).name
        self.outcome: Outcome | None = None
        self._graphs: dict[tuple[int, bool], Graph] = {}

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, devices: str | None = None, precision: str | None = None,
        warn: Warn = lambda text: None,
    ) -> Model:  # fmt: skip
        """The model of a checkpoint file, or of the newest checkpoint in the folder of a run.

        precision: None for the one it was trained in. warn: told about damaged checkpoints that were passed over.
        Raises CheckpointError, one line, where there is none that can be used.
        """
        return cls.from_checkpoint(find_checkpoint(path, warn), devices=devices, precision=precision)

    @classmethod
    def from_checkpoint(
        cls, found: Checkpoint, *, devices: str | None = None, precision: str | None = None
    ) -> Model:  # fmt: skip
        """The model in a checkpoint. Raises CheckpointError if it holds none."""
        try:
            net = Net.from_json(found.meta["net"])
            size = int(found.meta["preprocessing"]["size"])
            names = tuple(found.meta["class_names"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{found.path}: holds no model of this version ({error!r})") from error
        weights, _ = starting_weights(net, found, skip_last=False)
        return cls(
            net, weights, mean=found.arrays.get("mean"), size=size, class_names=names, devices=devices,
            precision=precision_of(found.meta) if precision is None else precision,
        )  # fmt: skip

    def read(self, image: Images) -> np.ndarray:
        """One image as the model's store would hold it: uint8 [S, S, C]. Raises BadImage, which names the file."""
        pixels: np.ndarray = inputs.stored(inputs.as_list(image), self.size, self.net.input_shape[0])[0]
        return pixels

    def predict(self, images: Images) -> np.ndarray:
        """Probabilities of the classes, float32 [n, classes], each row adding up to 1; from the centre crop.

        Raises TypeError or ValueError for what are no images, BadImage for a file that is none.
        """
        results = [np.empty((0, self.net.classes), np.float32)]
        for graph, count in self._batches(images):
            graph.evaluate()
            results.append(softmax(graph.logits())[:, :count].T.astype(np.float32))
        return np.concatenate(results)

    def features(self, images: Images, layer: str) -> np.ndarray:
        """What a layer puts out, float32: [n, C, H, W] of maps, [n, features] of vectors; both towers.

        layer: "conv5" is conv5 with the pointwise layers that follow it in place (its ReLU, dropout at test time);
        "data" is the crop as the net sees it, less the mean and scaled. Raises ValueError, with the names there are,
        for a layer that is not there.
        """
        shape = self._output_shape(layer)
        results = [np.empty((0, *shape), np.float32)]
        for graph, count in self._batches(images):
            graph.evaluate()
            results.append(_images_first(graph.activation(layer))[:count])
        return np.concatenate(results)

    def input_gradient(self, images: Images, labels: Any) -> np.ndarray:
        """The gradient of each image's own loss with respect to the pixels of its crop, float32 [n, C, H, W].

        labels: integers [n]; a pixel counts from 0 to 255. Dropout is as at test time.
        Raises ValueError for labels that do not fit, else as `predict`.
        """
        images = inputs.as_list(images)
        labels = np.asarray(labels)
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise ValueError(f"labels: got {labels.dtype} {list(labels.shape)}, wanted integers [{len(images)}]")
        wrong = labels[(labels < 0) | (labels >= self.net.classes)]
        if wrong.size:
            raise ValueError(f"labels: got {wrong[0]}, wanted 0 to {self.net.classes - 1}")
        results = [np.empty((0, *self.net.input_shape), np.float32)]
        for graph, count in self._batches(images, labels):
            graph.differentiate()
            # The loss is a mean over the images, so each gradient is a share of 1 / count; and the input is scaled.
            factor = np.float32(count * self.net.recipe.pixel_scale)
            results.append(_images_first(graph.input_gradient())[:count] * factor)
        return np.concatenate(results)

    def evaluate(
        self, store: Store, split: str = "val", *, views: int = 1, workers: int = 2,
        on_batch: Callable[[int, int], None] = lambda done, of: None,
    ) -> Meter:  # fmt: skip
        """Mean loss, top-1 and top-5 over a split, "val" or "train".

        views: 1, the centre crop, or 10, the mean of the paper's ten. on_batch: called with (batches done, of all).
        Raises ValueError where the images do not fit the net, or were stored in another size or with other classes.
        """
        if views not in (1, 10):
            raise ValueError(f"views: got {views!r}, wanted 1 or 10")
        if split not in ("train", "val"):
            raise ValueError(f"split: got {split!r}, wanted 'train' or 'val'")
        check_fit(self.net, store)
        if store.size != self.size:
            raise ValueError(
                f"the model was trained on images of {self.size}x{self.size} pixels, these are "
                f"{store.size}x{store.size} ({store.description}); prepare them with --size {self.size}"
            )
        if store.class_names != self.class_names:
            pairs = zip(self.class_names, store.class_names, strict=True)
            number, (there, here) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
            raise ValueError(
                f"the classes are not those the model was trained on: number {number} was '{there}', is '{here}'; "
                "prepare the images with the same class folders"
            )
        images = store.train if split == "train" else store.val
        if images is None:
            raise ValueError(f"no validation images in it ({store.description}); use the training images")
        batch = min(LARGEST_BATCH, len(images))
        loader = Loader(images, store, batch=batch, crop=self.net.input_shape[1], training=False, workers=workers)
        graph = self._graph(batch, gradient=False)

        def after_batch(done: int) -> bool:
            on_batch(done, len(loader))
            return True

        meter = evaluate(graph, loader, size=store.size, views=views, after_batch=after_batch)
        return Meter() if meter is None else meter

    def _output_shape(self, layer: str) -> tuple[int, ...]:
        if layer == "data":
            return self.net.input_shape
        places = self.net.places[:-1]
        for place in places:
            if place.layer.name == layer:
                return place.output
        names = ", ".join(["data", *(place.layer.name for place in places)])
        raise ValueError(f"net '{self.net.name}' has no features '{layer}'; there are {names}")

    def _graph(self, batch: int, gradient: bool) -> Graph:
        graph = self._graphs.get((batch, gradient))
        if graph is None:
            while len(self._graphs) >= GRAPHS_KEPT:
                del self._graphs[next(iter(self._graphs))]
            devices = usable_devices(self.net, self.devices)
            graph = nn.place(
                self.net, devices, batch, precision=self.precision, mean=self.mean, training=False,
                input_gradient=gradient,
            )  # fmt: skip
            graph.set_weights(self.weights)
            self._graphs[batch, gradient] = graph
        return graph

    def _batches(self, images: Images, labels: np.ndarray | None = None) -> Iterator[tuple[Graph, int]]:
        """Graphs with images in them, and how many; the rest of the batch is padding."""
        images = inputs.as_list(images)
        C, H, W = self.net.input_shape
        batch = 1
        while batch < min(len(images), LARGEST_BATCH):  # powers of two, so that few graphs serve all
            batch *= 2
        for start in range(0, len(images), batch):
            part = inputs.stored(images[start : start + batch], self.size, C)
            padded = np.zeros((batch, *part.shape[1:]), np.uint8)
            padded[: len(part)] = part
            wanted = np.full(batch, -1, np.int32)
            wanted[: len(part)] = 0 if labels is None else labels[start : start + batch]
            offsets = np.full((batch, 2), ((self.size - H) // 2, (self.size - W) // 2), np.int32)
            graph = self._graph(batch, gradient=labels is not None)
            feed(graph, Batch(padded, wanted, offsets, np.zeros(batch, np.uint8), None, np.arange(batch)))
            yield graph, len(part)


def _images_first(array: np.ndarray) -> np.ndarray:
    """[C, H, W, N] -> [N, C, H, W], and [features, N] -> [N, features]."""
    result: np.ndarray = ops.to_nchw(array) if array.ndim == 4 else np.ascontiguousarray(array.T)
    return result
