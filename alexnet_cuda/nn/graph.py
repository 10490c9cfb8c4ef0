"""A placed net: fixed buffers and three fixed lists of work, run forward, backward and as updates.

`placement` builds it. Every piece of work belongs to a device and runs on its stream in order; a piece that needs what
another device made waits for that piece's event. There is no other order between devices, and no autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..ops.arrays import Array
from .devices import Device, Event
from .net import INPUT, Net
from .nodes import Node, Rate, Slice, StepResult, Tensor, Transfer
from .part import Part
from .precision import Precision


class Graph:
    """What `placement.place` returns. Feed a batch, then `train_step` or `evaluate`, then ask for results."""

    def __init__(self, net: Net, devices: Sequence[Device], batch: int, precision: Precision):
        self.net = net
        self.devices = list(devices)
        self.batch = batch
        self.precision = precision
        self.transfers: list[Transfer] = []
        self.memory: dict[str, list[int]] = {}  # bytes of each kind of array, on each device
        self.parts: list[list[Part]] = []  # for each layer, one for each device it runs on
        self.tensors: dict[str, Tensor] = {}
        self.slices: dict[str, list[Slice]] = {}
        self.inputs: list[tuple[Device, Array]] = []
        self.states: list[tuple[Device, Array]] = []
        self.forward_nodes: list[Node] = []
        self.backward_nodes: list[Node] = []
        self.labels = np.full(batch, -1, np.int32)
        self.mean: dict[int, Array] = {}
        self._uploads: dict[tuple[int, str], Array] = {}
        self._ends: list[tuple[Device, Event]] = []

    # --- weights

    def set_weights(self, values: dict[str, np.ndarray]) -> None:
        """Take whole-layer parameters. Raises ValueError for a name or a shape that the net does not have."""
        self._set(values, lambda piece: (piece.value, piece.copy))

    def weights(self) -> dict[str, np.ndarray]:
        """Whole-layer parameters, on the host: those that updates change, not what layers compute with in bfloat16."""
        return self._get(lambda piece: piece.value)

    def set_momenta(self, values: dict[str, np.ndarray]) -> None:
        """Take whole-layer momenta, as `set_weights` does."""
        self._set(values, lambda piece: (piece.momentum,))

    def momenta(self) -> dict[str, np.ndarray]:
        """Whole-layer momenta, on the host."""
        return self._get(lambda piece: piece.momentum)

    def gradients(self) -> dict[str, np.ndarray]:
        """Whole-layer gradients of the last `differentiate`, on the host; a training step leaves only some."""
        return self._get(lambda piece: piece.gradient)

    def _set(self, values: dict[str, np.ndarray], which: Callable[[Slice], tuple[Array, ...]]) -> None:
        if unknown := set(values) ^ set(self.slices):
            raise ValueError(f"net '{self.net.name}': parameters do not match: {', '.join(sorted(unknown))}")
        for name, pieces in self.slices.items():
            shape = self.net.parameters[name].shape
            if values[name].shape != shape:
                got = list(values[name].shape)
                raise ValueError(f"net '{self.net.name}': parameter '{name}': got shape {got}, wanted {list(shape)}")
            for piece in pieces:
                value = np.ascontiguousarray(values[name][..., piece.where], self.precision.master)
                for target in which(piece):
                    if target is not None:
                        piece.device.upload(value.astype(target.dtype, copy=False), target)
        self.synchronize()

    def _get(self, which: Callable[[Slice], Array]) -> dict[str, np.ndarray]:
        values = {}
        for name, pieces in self.slices.items():
            values[name] = np.empty(self.net.parameters[name].shape, self.precision.master)
            for piece in pieces:
                values[name][..., piece.where] = self._fetch(piece.device, which(piece))
        return values

    # --- input

    def feed(
        self, images: np.ndarray, labels: np.ndarray, offsets: np.ndarray, flips: np.ndarray,
        color_shift: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Upload a batch of stored images, and cut, mirror, shift and scale it on every device that reads it.

        The arguments are those of `ops.augment`, images uint8 [batch, S, S, channels], on the host; labels int32.
        """
        self._begin()
        self._feed_labels(labels)
        arrays = {"images": images, "offsets": offsets, "flips": flips.view(np.uint8)}
        if color_shift is not None:
            arrays["color_shift"] = color_shift
        for position, (device, x) in enumerate(self.inputs):
            here = {name: self._uploaded(position, device, name, array) for name, array in arrays.items()}
            how = {"crop": x.shape[1:3], "mean": self.mean.get(position), "dtype": x.dtype, "out": x}
            device.submit(partial(ops.augment, **here, **how))
            if (factor := self.net.recipe.pixel_scale) != 1:
                device.submit(partial(ops.scale, x, factor, out=x))

    def feed_array(self, x: np.ndarray, labels: np.ndarray) -> None:
        """Upload a batch that is ready: x [C, H, W, batch] as the first layer sees it; labels int32."""
        wanted = (*self.net.input_shape, self.batch)
        if x.shape != wanted:
            raise ValueError(f"net '{self.net.name}': got a batch of shape {list(x.shape)}, wanted {list(wanted)}")
        self._begin()
        self._feed_labels(labels)
        for device, array in self.inputs:
            device.upload(np.ascontiguousarray(x, self.precision.compute), array)

    def _feed_labels(self, labels: np.ndarray) -> None:
        if labels.shape != (self.batch,):
            raise ValueError(f"net '{self.net.name}': got labels of shape {list(labels.shape)}, wanted [{self.batch}]")
        bad = labels[(labels < -1) | (labels >= self.net.classes)]
        if bad.size:
            raise ValueError(f"net '{self.net.name}': got label {bad[0]}, wanted -1 to {self.net.classes - 1}")
        np.copyto(self.labels, labels)
        part = self.parts[-1][0]
        self.device_of(part).upload(self.labels, part.kept["labels"])

    def _uploaded(self, position: int, device: Device, name: str, array: np.ndarray) -> Array:
        """A device's copy of one of the batch's arrays, in a buffer that is kept from batch to batch."""
        buffer = self._uploads.get((position, name))
        if buffer is None or buffer.shape != array.shape:
            buffer = self._uploads[position, name] = device.empty(array.shape, array.dtype)
        device.upload(array, buffer)
        return buffer

    # --- running

    def train_step(self, step: int, rates: dict[str, Rate], momentum: float) -> None:
        """Forward, backward and update on the batch fed before. Returns before the devices are done.

        step: the number that dropout draws with; rates: for each parameter. A loss that is not finite changes no
        weight, then or in later steps, until `clear_fault`.
        """
        self._set_step(step)
        self._execute(self.forward_nodes, training=True)
        self._execute(self.backward_nodes, training=True, rates=rates, momentum=momentum)
        self._end()

    def evaluate(self, *, training: bool = False, step: int = 0) -> None:
        """Forward only on the batch fed before: without dropout, or with that of a training step."""
        self._set_step(step)
        self._execute(self.forward_nodes, training)
        self._end()

    def differentiate(self, *, training: bool = False, step: int = 0, dlogits: np.ndarray | None = None) -> None:
        """Forward and backward without an update: leaves every gradient.

        dlogits: [classes, batch] on the host, to go back from in place of the loss's gradient.
        """
        self._set_step(step)
        self._execute(self.forward_nodes, training)
        if dlogits is not None:
            part = self.parts[-1][0]
            self.device_of(part).upload(np.ascontiguousarray(dlogits, self.precision.compute), part.dx)
        self._execute(self.backward_nodes, training)
        self._end()

    def _set_step(self, step: int) -> None:
        self._begin()
        for device, state in self.states:
            device.upload(np.array([step], state.dtype), state[:1])

    def clear_fault(self) -> None:
        """Let updates happen again after a loss that was not finite."""
        for device, state in self.states:
            device.upload(ops.step_state(0, 1.0), state)

    def _execute(
        self, nodes: Sequence[Node], training: bool, rates: dict[str, Rate] | None = None, momentum: float = 0.0
    ) -> None:
        """Queue work on the devices in order; updates only of parameters with a rate above 0."""
        for node in nodes:
            call = node.call
            if node.parameter is not None:
                rate = rates[node.parameter] if rates else Rate(0.0)
                if rate.lr == 0:
                    continue
                call = partial(call, rate, momentum)
            elif node.with_updates:
                call = partial(call, rates, momentum)
            elif node.of_layer:
                call = partial(call, training)
            for other in node.after:
                node.device.wait(other.event)
            if node.is_copy:
                call()
            else:
                node.device.submit(call)
            if node.announced:
                node.event = node.device.record()

    def _begin(self) -> None:
        """No device starts on a batch before all have finished the one before: its buffers are read by others."""
        for device in self.devices:
            for other, event in self._ends:
                if other is not device:
                    device.wait(event)
        self._ends = []

    def _end(self) -> None:
        if len(self.devices) > 1:
            self._ends = [(device, device.record()) for device in self.devices]

    # --- results

    def result(self) -> StepResult:
        """Loss and counts of the last step. Waits for the devices."""
        self.synchronize()
        part = self.parts[-1][0]
        device = self.device_of(part)
        loss = float(self._fetch(device, part.kept["loss"]))
        correct = self._fetch(device, part.kept["correct"])
        return StepResult(loss, (int(correct[0]), int(correct[1])), int((self.labels >= 0).sum()))

    def logits(self) -> np.ndarray:
        """[classes, batch] of the last batch, on the host."""
        self.synchronize()
        part = self.parts[-1][0]
        return self._plain(self._fetch(self.device_of(part), part.x))

    def activation(self, layer: str) -> np.ndarray:
        """The output of a layer for the last batch, whole, with the pointwise layers that follow it in place: "conv5"
        is conv5 after its ReLU. [C, H, W, batch] or [features, batch], on the host; bfloat16 comes as float32."""
        return self._whole(layer, 2)

    def gradient(self, layer: str) -> np.ndarray:
        """The gradient of the loss with respect to `activation(layer)`, after a backward pass."""
        return self._whole(layer, 3)

    def input_gradient(self) -> np.ndarray:
        """The gradient with respect to the net's input, if the graph was placed with input_gradient=True."""
        return self._whole(INPUT, 3)

    def _whole(self, name: str, which: int) -> np.ndarray:
        if name not in self.tensors:
            self.net.place_of(name)
        self.synchronize()
        pieces: list[Any] = [(p[0], p[1], p[which]) for p in self.tensors[name].pieces]
        if any(array is None for _, _, array in pieces):
            raise ValueError(f"'{name}' has no gradient: nothing before it has weights")
        arrays = [(tower, self._fetch(device, array)) for device, tower, array in pieces]
        if arrays[0][0] is None:
            return self._plain(arrays[0][1])
        return self._plain(np.concatenate([array for _, array in sorted(arrays, key=lambda piece: piece[0])]))

    def first_non_finite(self) -> str | None:
        """Where the last step first left a value that is no number, in order of computation, or None."""
        for name in self.slices:
            if not all(np.isfinite(self._fetch(p.device, p.value)).all() for p in self.slices[name]):
                return f"parameter {name}"
        for what, which, names in (
            ("activation", 2, list(self.tensors)),
            ("gradient", 3, list(reversed(self.tensors))),
        ):
            for name in dict.fromkeys(names):
                for piece in self.tensors[name].pieces:
                    if piece[which] is not None and not np.isfinite(self._fetch(piece[0], piece[which])).all():
                        return f"{what} of {name}"
        return None

    def synchronize(self) -> None:
        """Wait for all devices."""
        for device in self.devices:
            device.synchronize()

    def describe(self) -> str:
        """What runs where, and what crosses between the devices in a training step."""
        from .describe import describe

        return describe(self)

    def device_of(self, part: Part) -> Device:
        """The device that a part is on."""
        return next(device for device, state in self.states if state is part.state)

    def _plain(self, array: np.ndarray) -> np.ndarray:
        """For callers, who should not need to know bfloat16."""
        return array.astype(self.precision.master, copy=False)

    @staticmethod
    def _fetch(device: Device, array: Array) -> np.ndarray:
        out = np.empty(array.shape, array.dtype)
        device.download(array, out)
        device.synchronize()
        return out
