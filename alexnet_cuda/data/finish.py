"""The end of a preparation: labels, names, statistics, and last the manifest, from the records of the shards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import files, shards
from .manifest import FORMAT, FORMAT_VERSION, MANIFEST, describe, fingerprint
from .shards import Record, Shard
from .sources import Images, Settings, Source, SourceError
from .statistics import PixelSums


@dataclass(frozen=True)
class Summary:
    """What `prepare` did. notes: how many images were treated how, and the first of them; built: shards written."""

    path: Path
    description: str
    bytes: int
    skipped: int
    notes: dict[str, tuple[int, str]]
    built: int


def finish(folder: Path, source: Source, settings: Settings, records: dict[Shard, Record], built: int) -> Summary:
    """Write what is missing besides the shards. Raises SourceError for a class, and for a validation split, of which no
    image could be read."""
    sums = PixelSums.zero(settings.size, settings.channels)
    for shard, record in records.items():
        if shard.sums:
            sums.merge(shards.sums_of(folder, shard, record))
    splits, counts = {}, {}
    for split, images in source.splits.items():
        of_split = {shard: record for shard, record in records.items() if shard.split == split}
        splits[split], counts[split] = _split(folder, split, images, of_split, source.class_names)
    eigenvectors, stdevs = sums.principal_colors()
    skipped = write_skipped(folder, [entry for record in records.values() for entry in record.skipped])
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "source": source.kind,
        "size": settings.size,
        "channels": settings.channels,
        "exif_orientation": settings.exif_orientation,
        "class_names": list(source.class_names),
        "splits": splits,
        "mean_image": _write(folder, "mean.npy", files.npy(sums.mean_image())),
        "color_eigenvectors": [[float(value) for value in row] for row in eigenvectors],
        "color_stdevs": [float(value) for value in stdevs],
        "skipped": skipped,
        "notes": {note: count for note, (count, _) in sorted(_notes(records).items())},
        "fingerprint": fingerprint(
            settings.size,
            settings.channels,
            source.class_names,
            {split: entry["labels"]["sha256"] for split, entry in splits.items()},
            {split: [shard["sha256"] for shard in entry["shards"]] for split, entry in splits.items()},
        ),
    }
    files.write_bytes(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    return Summary(
        path=folder,
        description=describe(str(folder), counts, len(source.class_names), settings.size, settings.channels),
        bytes=sum(record.bytes for record in records.values()),
        skipped=skipped["count"],
        notes=_notes(records),
        built=built,
    )


def write_skipped(folder: Path, skipped: list[tuple[int, str, str]]) -> dict[str, Any]:
    """The list of images that could not be read: a line "name, tab, reason" for each."""
    lines = [f"{name}\t{reason}\n" for _, name, reason in skipped]
    return {**_write(folder, "skipped.txt", _text(lines)), "count": len(skipped)}


def _split(
    folder: Path, split: str, images: Images, records: dict[Shard, Record], class_names: tuple[str, ...]
) -> tuple[dict[str, Any], int]:
    """A split's part of the manifest, and its number of images."""
    read = np.ones(len(images.labels), bool)
    read[[index for record in records.values() for index, _, _ in record.skipped]] = False
    labels = images.labels[read]
    lost = np.flatnonzero(np.bincount(labels, minlength=len(class_names)) == 0)
    if split == "train" and len(lost):
        raise SourceError(f"class {class_names[lost[0]]!r}: none of its training images can be read")
    if not len(labels):
        _, name, reason = min(entry for record in records.values() for entry in record.skipped)
        raise SourceError(
            f"none of the {len(read):,} validation images can be read; the first: {name}: {reason}; mend them, or "
            "remove them from the source and hold out training images (--val-fraction)"
        )
    entry = {
        "shards": [
            {"file": shard.file, "count": record.count, "bytes": record.bytes, "sha256": record.sha256}
            for shard, record in records.items()
        ],
        "labels": _write(folder, f"{split}-labels.npy", files.npy(labels)),
        "sources": _write(
            folder, f"{split}-sources.txt", _text([f"{images.name(int(index))}\n" for index in np.flatnonzero(read)])
        ),
    }
    return entry, len(labels)


def _notes(records: dict[Shard, Record]) -> dict[str, tuple[int, str]]:
    notes: dict[str, tuple[int, str]] = {}
    for record in records.values():
        for note, (count, first) in record.notes.items():
            before, earliest = notes.get(note, (0, first))
            notes[note] = (before + count, earliest)
    return notes


def _text(lines: list[str]) -> bytes:
    return "".join(lines).encode("utf-8", "surrogateescape")  # file names are any bytes


def _write(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    files.write_bytes(folder / name, data)
    return {"file": name, "bytes": len(data), "sha256": files.sha256(folder / name)}
