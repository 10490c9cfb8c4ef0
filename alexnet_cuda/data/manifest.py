"""The manifest of a prepared store, and the files it names."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from . import files

FORMAT = "alexnet_cuda store"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SPLITS = ("train", "val")


class StoreError(ValueError):
    """A folder is no store this program can use; the message says why and what to do."""


def fingerprint(
    size: int, channels: int, class_names: Sequence[str], labels: dict[str, str], shards: dict[str, list[str]]
) -> str:
    """What a training run depends on, as one sha256: `labels` and `shards` are checksums by split."""
    facts = [FORMAT_VERSION, size, channels, list(class_names), labels, shards]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def describe(title: str, counts: dict[str, int], classes: int, size: int, channels: int) -> str:
    """One line for logs."""
    val = f"and {counts['val']:,} validation images" if "val" in counts else "images, none for validation"
    images = f"{counts['train']:,} training {val}"
    return f"{title}: {images}, {classes:,} classes, {size}x{size}{', grey' if channels == 1 else ''}"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the store in `folder`. Raises StoreError where there is none of this version."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(_no_store(folder)) from None
    except NotADirectoryError:
        raise StoreError(
            f"{folder}: a file, wanted the folder of a store; make one with: alexnet-cuda prepare SRC OUT"
        ) from None
    except OSError as error:
        raise StoreError(f"{folder / MANIFEST} cannot be read: {error.strerror}") from None
    except ValueError:
        raise StoreError(f"{folder}: {MANIFEST} is damaged; {again(folder)}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise StoreError(
            f"{folder}: {MANIFEST} is not of a prepared store; make one with: alexnet-cuda prepare SRC OUT"
        )
    _refuse_version(folder, manifest)
    return manifest


def of_store(path: Path) -> bool:
    """Is this a manifest, or the options of a preparation, of any version?"""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and value.get("format") == FORMAT


def refuse_other_version(folder: Path) -> None:
    """Raises StoreError for a store whose manifest is of another version; a damaged one passes."""
    with contextlib.suppress(OSError, json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        _refuse_version(folder, json.loads((folder / MANIFEST).read_text(encoding="utf-8")))


def _refuse_version(folder: Path, manifest: dict[str, Any]) -> None:
    if manifest.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{folder}: this store was made by another version (its format is {manifest.get('version')}, this program's"
            f" is {FORMAT_VERSION}); remove it and prepare it again: alexnet-cuda prepare SRC {folder}"
        )


def manifest_files(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Every file a manifest names: {"file", "bytes", "sha256"}."""
    entries = [manifest["mean_image"], manifest["skipped"]]
    for split in manifest["splits"].values():
        entries += [*split["shards"], split["labels"], split["sources"]]
    return entries


def check_size(folder: Path, entry: dict[str, Any]) -> None:
    """Raises StoreError where a file that a manifest names is missing or of another size."""
    try:
        size = os.stat(folder / entry["file"]).st_size
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise StoreError(f"{folder}: {entry['file']} {reason}; {again(folder)}") from None
    if size != entry["bytes"]:
        raise StoreError(f"{folder}: {entry['file']} has {size:,} bytes instead of {entry['bytes']:,}; {again(folder)}")


def load(folder: Path, entry: dict[str, Any], mapped: bool = False) -> np.ndarray:
    """An array that a manifest names: mapped, or read with its checksum compared. Raises StoreError."""
    path = folder / entry["file"]
    try:
        if not mapped and files.sha256(path) != entry["sha256"]:
            raise StoreError(f"{folder}: checksum wrong: {entry['file']}; {again(folder)}")
        array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{folder}: {entry['file']} is damaged; {again(folder)}") from None
    return array


class Lines:
    """The lines of a text file by number, read when the first is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _lines(self) -> list[bytes]:
        return self._path.read_bytes().split(b"\n")

    def __call__(self, number: int) -> str:
        return self._lines[number].decode("utf-8", "backslashreplace")


def again(folder: Path) -> str:
    """What to do about a damaged store."""
    return f"run the same prepare command again, which rebuilds only what is damaged: alexnet-cuda prepare SRC {folder}"


def _no_store(folder: Path) -> str:
    if not folder.exists():
        return f"{folder}: no such folder; make a store with: alexnet-cuda prepare SRC {folder}"
    if (folder / "records").is_dir():
        return f"{folder}: its preparation has not ended; run the same prepare command again, which goes on with it"
    return f"{folder}: not a prepared store (no {MANIFEST}); make one of it with: alexnet-cuda prepare {folder} OUT"
