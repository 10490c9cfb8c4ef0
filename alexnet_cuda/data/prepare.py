"""Images of any source into a store, resumable at every moment.

What a store holds is a function of the source and the options alone: not of threads, interruptions or the clock.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import files, shards, sources
from .decode import BadImage, silenced_warnings
from .finish import Summary, finish, write_skipped
from .manifest import FORMAT, FORMAT_VERSION, MANIFEST, SPLITS, StoreError, refuse_other_version
from .shards import RECORDS, Block, Record, Shard
from .sources import Images, Settings, Source

SHARD_BYTES = 1 << 28  # of pixels: what an interruption costs at most, and at 256 x 256 some thousand files for ILSVRC
SHARD_IMAGES = 1 << 14
LARGEST = 4096
NO_VAL = "no validation images here, so the store will have none (--val-fraction sets some training images aside)"


def _quiet(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Events:
    """Who wants to hear what happens. say: a line; progress: (stage, images done, images, images skipped)."""

    say: Callable[[str], None] = _quiet
    progress: Callable[[str, int, int, int], None] = _quiet


def prepare(
    source: str | os.PathLike[str] | Source,
    out: str | os.PathLike[str],
    *,
    size: int = 256,
    channels: int = 3,
    max_bad: float = 0.001,
    workers: int | None = None,
    val_labels: str | os.PathLike[str] | None = None,
    val_fraction: float | None = None,
    allow_truncated: bool = False,
    exif_orientation: bool = False,
    events: Events | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Summary:
    """Make the store `out` of the images in `source`; an unfinished one is gone on with, damaged shards are rebuilt.

    size: side of the stored images in pixels; channels: 3 (RGB) or 1 (grey); max_bad: the fraction of images that may
    be unreadable; workers: threads (default: one for each core); the rest as in `sources.read` and `decode`.
    Raises SourceError and StoreError (both ValueError) for what is wrong with the source or `out`, DiskFullError.
    """
    settings = Settings(size, channels, allow_truncated, exif_orientation)
    _check(settings, max_bad, workers)
    events = events or Events()
    folder = Path(out)
    if isinstance(source, Source):
        read = source
    else:
        events.say(f"looking for images in {source}")
        read = sources.read(source, val_labels)
    if val_fraction is not None:
        read = sources.hold_out(read, val_fraction)
    counts = ", ".join(f"{len(images.labels):,} for {split}" for split, images in read.splits.items())
    events.say(f"{read.kind}: {len(read.class_names):,} classes; images: {counts}")
    for remark in read.remarks if read.val is not None else (*read.remarks, NO_VAL):
        events.say(f"note: {remark}")
    images_a_shard = max(1, min(SHARD_IMAGES, shard_bytes // (size * size * channels)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(folder)
        with files.lock(folder), silenced_warnings(), ThreadPoolExecutor(workers or cores()) as pool:
            return _Run(folder, read, settings, max_bad, images_a_shard, pool, workers or cores(), events).run()
    except (files.DiskFullError, BrokenPipeError):  # the pipe is the one that listens to `events`
        raise
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: cannot be written: {error.strerror or error}") from None


def cores() -> int:
    """How many threads this process may run at once."""
    return len(os.sched_getaffinity(0))


def _check(settings: Settings, max_bad: float, workers: int | None) -> None:
    for name, value, most in (("size", settings.size, LARGEST), ("workers", workers, 1024)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
            raise ValueError(f"prepare: {name}: got {value!r}, wanted an integer from 1 to {most}")
    if settings.channels not in (1, 3):
        raise ValueError(f"prepare: channels: got {settings.channels!r}, wanted 3 (RGB) or 1 (grey)")
    if not 0 <= max_bad <= 1:
        raise ValueError(f"prepare: max_bad: got {max_bad!r}, wanted a fraction from 0 to 1")


def _refuse_foreign(folder: Path) -> None:
    """Write into an empty folder or into one of ours."""
    ours = (folder / RECORDS / "options.json").exists() or (folder / MANIFEST).exists()
    if not ours and {path.name for path in folder.iterdir()} - {RECORDS, "lock"}:
        raise StoreError(f"{folder}: not empty, and not a prepared store; give a new folder")


@dataclass
class _Run:
    """One run of `prepare`, in a folder that it holds."""

    folder: Path
    source: Source
    settings: Settings
    max_bad: float
    images_a_shard: int
    pool: ThreadPoolExecutor
    workers: int
    events: Events

    def run(self) -> Summary:
        complete = self._claim()
        plan = [
            (shard, images)
            for split, images in self.source.splits.items()
            for shard in shards.plan(split, len(images.labels), self.images_a_shard)
        ]
        records = self._kept(plan, complete)
        missing = [(shard, images) for shard, images in plan if shard not in records]
        if missing:
            (self.folder / MANIFEST).unlink(missing_ok=True)  # from here on, and until the end, it is no whole store
            self._build(missing, records)
        self._refuse_bad(records)
        for path in self._leftovers(plan):
            path.unlink(missing_ok=True)
        return finish(
            self.folder, self.source, self.settings, {shard: records[shard] for shard, _ in plan}, len(missing)
        )

    def _claim(self) -> bool:
        """Make sure that the folder is for these options; is the store in it whole?"""
        options = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "size": self.settings.size,
            "channels": self.settings.channels,
            "exif_orientation": self.settings.exif_orientation,
            "images_a_shard": self.images_a_shard,
        }
        path = self.folder / RECORDS / "options.json"
        complete = (self.folder / MANIFEST).exists()
        if complete:
            refuse_other_version(self.folder)
            if not path.exists():
                raise StoreError(
                    f"{self.folder}: the records of its preparation are gone; give another folder, or remove it"
                )
        before = _json(path)
        if before and before != options:
            names = [name for name in options if before.get(name) != options[name]]
            names = [name for name in names if name != "images_a_shard"] or names  # which follows from the others
            difference = ", ".join(f"{name} {before.get(name)}, not {options[name]}" for name in names)
            raise StoreError(
                f"{self.folder}: holds a store that was made with {difference}; give another folder, or remove it"
            )
        path.parent.mkdir(exist_ok=True)
        files.write_bytes(path, json.dumps(options, indent=1).encode())
        return complete

    def _kept(self, plan: list[tuple[Shard, Images]], complete: bool) -> dict[Shard, Record]:
        """The shards that are there already, whole and of the same images; the others are told of."""
        kept: dict[Shard, Record] = {}
        found = {}
        changed = complete and self._listed() not in (None, [shard.file for shard, _ in plan])
        for shard, images in plan:
            record = shards.read_record(self.folder, shard)
            if record and record.inputs == images.stamp(shard.indices()):
                found[shard] = (record, images)
            elif record:
                changed = True
        if complete and changed:
            raise StoreError(
                f"{self.folder}: holds a whole store, of images that are not (or no longer) those in the source;"
                " give another folder, or remove it"
            )
        problems = self.pool.map(lambda shard: shards.damage(self.folder, shard, found[shard][0]), found)
        total = sum(shard.last - shard.first for shard in found)
        done = 0
        for shard, problem in zip(found, problems, strict=True):
            done += shard.last - shard.first
            self.events.progress("checking what is there", done, total, 0)
            if problem:
                self.events.say(f"{self.folder}: {problem}; rebuilding this shard")
            else:
                kept[shard] = found[shard][0]
        return {
            shard: record
            for shard, record in kept.items()
            if not shards.outdated(record, found[shard][1], self.settings)
        }

    def _listed(self) -> list[str] | None:
        """The shards that the manifest names, or None where it cannot be read."""
        try:
            splits = _json(self.folder / MANIFEST)["splits"].values()
            return [shard["file"] for split in splits for shard in split["shards"]]
        except (KeyError, TypeError, AttributeError):
            return None

    def _build(self, missing: list[tuple[Shard, Images]], records: dict[Shard, Record]) -> None:
        total = sum(len(images.labels) for images in self.source.splits.values())
        done = total - sum(shard.last - shard.first for shard, _ in missing)
        if records:
            self.events.say(f"{done:,} of {total:,} images are prepared already; going on")
        self._warn_of_space(total - done)
        with contextlib.closing(shards.decoded(self.pool, 2 * self.workers + 2, missing, self.settings)) as stream:
            for shard, images in missing:
                skipped = sum(len(record.skipped) for record in records.values())
                blocks = self._told(itertools.islice(stream, len(shard.blocks())), done, total, skipped)
                records[shard] = shards.write(self.folder, shard, images, self.settings, blocks)
                done += shard.last - shard.first
                self._refuse_bad(records)

    def _told(self, blocks: Iterable[Block], done: int, total: int, skipped: int) -> Iterator[Block]:
        """The same blocks, with word of the progress, and of each image that is skipped."""
        for block in blocks:
            yield block
            bad = [item for item in block.items if isinstance(item, BadImage)]
            for item in bad:
                self.events.say(f"skipped {item}")
            done += len(block.indices)
            skipped += len(bad)
            self.events.progress("preparing", done, total, skipped)

    def _leftovers(self, plan: list[tuple[Shard, Images]]) -> list[Path]:
        """What an earlier run left that is of no use: side files of a kill, shards of a longer list."""
        wanted = {path for shard, _ in plan for path in shard.paths(self.folder)}
        patterns = ["*.tmp", f"{RECORDS}/*.tmp"]
        for split in SPLITS:
            patterns += [f"{split}-[0-9]*.npy", f"{RECORDS}/{split}-*"]
            if split not in self.source.splits:
                patterns += [f"{split}-labels.npy", f"{split}-sources.txt"]
        return [path for pattern in patterns for path in self.folder.glob(pattern) if path not in wanted]

    def _warn_of_space(self, images: int) -> None:
        wanted = images * self.settings.size**2 * self.settings.channels
        free = shutil.disk_usage(self.folder).free
        if wanted > free:
            self.events.say(f"note: this takes {wanted / 1e9:,.1f} GB, and {self.folder} has {free / 1e9:,.1f} GB free")

    def _refuse_bad(self, records: dict[Shard, Record]) -> None:
        """Stop where too many images have turned out to be unreadable."""
        skipped = sorted((entry for record in records.values() for entry in record.skipped), key=lambda entry: entry[1])
        total = sum(len(images.labels) for images in self.source.splits.values())
        if len(skipped) <= self.max_bad * total:
            return
        write_skipped(self.folder, skipped)
        enough = math.ceil(len(skipped) / total * 1000) / 1000
        raise StoreError(
            f"{len(skipped):,} of {total:,} images cannot be read, more than --max-bad {self.max_bad:g} allows; the"
            f" first: {skipped[0][1]}: {skipped[0][2]}; mend or remove those in {self.folder / 'skipped.txt'} and run"
            f" the same command again, or allow more with --max-bad {enough:g}"
        )


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
