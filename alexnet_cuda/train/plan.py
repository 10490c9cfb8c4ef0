"""What a run computes: the net with its recipe, the images, the seed. All that its bits depend on, checked before it
starts, and compared with a checkpoint's when it is resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.loader import Loader
from ..data.store import Store
from ..nn import precision as precisions
from ..nn.net import Net
from ..nn.precision import TRAINED
from ..nn.recipe import Recipe
from ..ops import parameters
from .schedule import Schedule


@dataclass(frozen=True, eq=False)
class Plan:
    """net: with the recipe as it is run; frozen: layers that do not change; subset: ids of the training images, or
    None for all; precision: "fp32" or "bf16"; workers: threads of a loader, which change no bit."""

    net: Net
    store: Store
    seed: int
    frozen: tuple[str, ...]
    subset: np.ndarray | None
    evaluates: bool
    precision: str
    workers: int

    @property
    def recipe(self) -> Recipe:
        return self.net.recipe

    def training(self, color: bool) -> Loader:
        """The training images; color: with the recipe's colour noise, where it has any."""
        augmentation = self.recipe.augmentation
        if not color:
            augmentation = dataclasses.replace(augmentation, color=0.0)
        return Loader(
            self.store.train, self.store, batch=self.recipe.batch, crop=self.net.input_shape[1], training=True,
            seed=self.seed, augmentation=augmentation, workers=self.workers, subset=self.subset,
        )  # fmt: skip

    def validation(self) -> Loader | None:
        """The images that are evaluated after each epoch, if there are any."""
        if self.store.val is None or not self.evaluates:
            return None
        return Loader(
            self.store.val, self.store, batch=self.recipe.batch, crop=self.net.input_shape[1], training=False,
            workers=self.workers,
        )  # fmt: skip

    def identity(self) -> dict[str, Any]:
        """What a checkpoint says about the run it belongs to, and `differences` compares. Not in it is what changes no
        bit: the threads that load images, and where updates come along with their gradients."""
        subset = (
            None if self.subset is None else hashlib.sha256(np.sort(self.subset).astype("<i8").tobytes()).hexdigest()
        )
        return {
            "net": self.net.to_json(), "store": self.store.fingerprint, "store_description": self.store.description,
            "seed": self.seed, "frozen": list(self.frozen), "subset": subset, "evaluates": self.evaluates,
            "precision": self.precision,
        }  # fmt: skip


def make_plan(
    net: Any, store: Any, *, epochs: int | None, batch: int | None, lr: float | None, seed: int,
    freeze: Sequence[str], subset: np.ndarray | None, evaluate: bool, precision: str, workers: int,
) -> Plan:  # fmt: skip
    """The plan for `train.fit`'s arguments. Raises TypeError or ValueError, one line, for what does not fit."""
    if not isinstance(net, Net):
        hint = f"nn.preset({net!r})" if isinstance(net, str) else "an nn.Net"
        raise TypeError(f"fit: argument 'net': got a {type(net).__name__}, wanted {hint}")
    if not isinstance(store, Store):
        hint = f"data.open({str(store)!r})" if isinstance(store, str) else "a store from data.open(folder)"
        raise TypeError(f"fit: argument 'store': got a {type(store).__name__}, wanted {hint}")
    changes: dict[str, Any] = {"epochs": epochs, "batch": batch, "lr": lr}
    changes = {name: value for name, value in changes.items() if value is not None}
    for name in changes.keys() & {"epochs", "batch"}:
        changes[name] = parameters.integer("fit", name, changes[name], minimum=1)
    net = net.replace(recipe=dataclasses.replace(net.recipe, **changes))
    check_fit(net, store)
    seed = parameters.integer("fit", "seed", seed, minimum=0, maximum=(1 << 64) - 1)
    frozen = net.layers_named([freeze] if isinstance(freeze, str) else freeze)
    if {p.layer for p in net.parameters.values()} <= set(frozen):
        raise ValueError(f"net '{net.name}': every layer is frozen, so there is nothing to train; freeze fewer")
    if Schedule(net.recipe).needs_validation and (store.val is None or not evaluate):
        what = "evaluation is switched off" if store.val is not None else f"the store has none ({store.description})"
        raise ValueError(
            f"net '{net.name}': its learning rate follows the validation error, but {what}; "
            "use images with a validation split and evaluate them, or a recipe with another schedule"
        )
    ids = None if subset is None else np.asarray(subset)
    plan = Plan(net, store, seed, frozen, ids, evaluate, precisions.named(precision, TRAINED).name, workers)
    images = plan.training(color=True).images  # checks batch, workers and subset
    if batch is not None and net.recipe.batch > images:
        raise ValueError(
            f"batch: got {net.recipe.batch:,}, more than the {images:,} training images; use at most that many"
        )
    return plan


def check_fit(net: Net, store: Store) -> None:
    """Raise ValueError where the images and classes of a store are not those that a net takes."""
    C, H, W = net.input_shape
    if H != W:
        raise ValueError(f"net '{net.name}' takes {H}x{W} pixels, but stored images and crops are square")
    if store.channels != C:
        raise ValueError(
            f"net '{net.name}' takes {C} channel(s), the images have {store.channels} ({store.description}); "
            f"prepare them with --channels {C}, or change the net's input_shape"
        )
    if store.size < H:
        raise ValueError(
            f"net '{net.name}' takes crops of {H}x{W} pixels, the images are {store.size}x{store.size} "
            f"({store.description}); prepare them with --size {max(net.recipe.store_size, H)}"
        )
    if net.classes != len(store.class_names):
        raise ValueError(
            f"net '{net.name}' has {net.classes} outputs, the images {len(store.class_names)} classes "
            f"({store.description}); change the net's last layer to {len(store.class_names)} outputs"
        )


def differences(plan: Plan, meta: dict[str, Any]) -> list[str]:
    """How a plan differs from the run that wrote a checkpoint, where it must not: "seed (0 there, 1 here)".

    More epochs are allowed, and so are other devices, workers and folders, which no plan holds.
    """
    here = json.loads(json.dumps(plan.identity()))
    found = []
    mine, other = dict(here["net"]), dict(meta["net"])
    mine_recipe, other_recipe = mine.pop("recipe"), dict(other.pop("recipe"))
    mine.pop("source"), other.pop("source")
    if mine != other:
        return [_net_difference(mine, other)]  # the recipes of two nets differ in everything
    for name, value in mine_recipe.items():
        old = other_recipe.get(name)
        if value != old and not (name == "epochs" and value >= old):
            found.append(_changed(name, old, value))
    if here["store"] != meta["store"]:
        found.append(f"images ({meta['store_description']} there, {here['store_description']} here)")
    found += [_changed(name, meta[name], here[name]) for name in ("seed", "frozen") if here[name] != meta[name]]
    if here["subset"] != meta["subset"]:
        found.append("subset of the training images")
    if here["evaluates"] != meta["evaluates"]:
        found.append(_changed("evaluate", meta["evaluates"], here["evaluates"]))
    precision = precision_of(meta)
    if here["precision"] != precision:
        found.append(_changed("precision", precision, here["precision"]))
    return found


def precision_of(meta: dict[str, Any]) -> str:
    """What a checkpoint's run computed in; those that do not say are of a time when there was nothing else."""
    return str(meta.get("precision", "fp32"))


def _changed(name: str, there: Any, here: Any) -> str:
    return f"{name} ({there} there, {here} here)"


def _net_difference(mine: dict[str, Any], other: dict[str, Any]) -> str:
    for name in ("name", "input_shape", "towers"):
        if mine[name] != other[name]:
            return _changed("net" if name == "name" else f"net's {name}", other[name], mine[name])
    if len(mine["layers"]) != len(other["layers"]):
        return _changed("net's number of layers", len(other["layers"]), len(mine["layers"]))
    layer = next(a["name"] for a, b in zip(mine["layers"], other["layers"], strict=True) if a != b)
    return f"net's layer '{layer}'"
