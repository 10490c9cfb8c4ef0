"""Where images come from: image folders, IDX files (MNIST and its relatives), CIFAR's binary batches."""

import os
from pathlib import Path

from ..manifest import MANIFEST, of_store
from . import cifar, folder, idx
from .base import Images, Settings, Source, SourceError, hold_out

__all__ = ["Images", "Settings", "Source", "SourceError", "hold_out", "read"]

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip")


def read(path: str | os.PathLike[str], val_labels: str | os.PathLike[str] | None = None) -> Source:
    """The images at `path`: an image folder, a folder of IDX files (or one of its image files), or a CIFAR folder.

    val_labels: a file with lines "image class", for an image folder whose `val` has no class folders.
    Raises SourceError.
    """
    root = Path(path)
    if not root.exists():
        raise SourceError(f"{root}: no such folder")
    if root.name.lower().endswith(ARCHIVES) and root.is_file():
        raise SourceError(f"{root}: an archive; unpack it and give the folder")
    if of_store(root / MANIFEST):
        raise SourceError(f"{root}: is a prepared store already; use it with train --data {root}")
    if cifar.python_version(root):
        raise SourceError(
            f"{root}: this is CIFAR's Python version, pickled files, which can run any program and are not read here;"
            " download the binary version instead: cifar-10-binary.tar.gz or cifar-100-binary.tar.gz"
        )
    source = idx.read(root) or cifar.read(root)
    if source is None:
        if not root.is_dir():
            raise SourceError(f"{root}: neither a folder nor a file of IDX images")
        return folder.read(root, Path(val_labels) if val_labels is not None else None)
    if val_labels is not None:
        raise SourceError(f"{root}: --val-labels is for image folders; these are {source.kind}")
    return source
