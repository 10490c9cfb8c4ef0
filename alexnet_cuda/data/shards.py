"""The shards of a store while it is being prepared: each is decoded, written and recorded by itself.

A shard is made of a fixed range of the source's images, without those that cannot be read. Beside `train-00000.npy`
there are, in `records/`, what was found on the way (`train-00000.json`, written last, says that the shard is whole)
and the sum of its images, so that neither resuming nor rebuilding a shard needs the others.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from . import files
from .decode import TRUNCATED, BadImage, Decoded
from .sources import Images, Settings
from .statistics import PixelSums

RECORDS = "records"
BLOCK = 16  # images that a thread decodes in one go


@dataclass(frozen=True)
class Shard:
    """Images `first` to `last` (not included) of a split of the source. sums: are its pixels added up?"""

    split: str
    number: int
    first: int
    last: int
    sums: bool

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}"

    @property
    def file(self) -> str:
        return f"{self.name}.npy"

    def indices(self) -> np.ndarray:
        return np.arange(self.first, self.last)

    def blocks(self) -> list[range]:
        return [range(i, min(i + BLOCK, self.last)) for i in range(self.first, self.last, BLOCK)]

    def paths(self, folder: Path) -> list[Path]:
        """Every file of the shard."""
        return [folder / self.file, self.record_path(folder), *([self.sums_path(folder)] if self.sums else [])]

    def record_path(self, folder: Path) -> Path:
        return folder / RECORDS / f"{self.name}.json"

    def sums_path(self, folder: Path) -> Path:
        return folder / RECORDS / f"{self.name}.sum.npy"


@dataclass(frozen=True)
class Record:
    """What is known of a shard. inputs: stamp of its source images; skipped: (number in the split, name, reason);
    truncated: numbers in the split; notes: how many images each was made of, and the first of them."""

    inputs: str
    count: int
    bytes: int
    sha256: str
    skipped: list[tuple[int, str, str]]
    truncated: list[int]
    notes: dict[str, tuple[int, str]]
    products: list[list[int]]
    sum_sha256: str


@dataclass
class Block:
    """What became of some consecutive images."""

    indices: range
    items: list[Decoded | BadImage]
    sums: PixelSums | None


def plan(split: str, count: int, images_a_shard: int) -> list[Shard]:
    """The shards of a split."""
    starts = range(0, count, images_a_shard)
    return [Shard(split, n, i, min(i + images_a_shard, count), split == "train") for n, i in enumerate(starts)]


def decoded(
    pool: ThreadPoolExecutor, window: int, shards: Iterable[tuple[Shard, Images]], settings: Settings
) -> Generator[Block, None, None]:
    """All blocks of all shards in order, up to `window` of them decoded ahead."""
    strict = replace(settings, allow_truncated=False)
    waiting: deque[tuple[Future[Block], Images]] = deque()

    def next_one() -> Block:
        future, images = waiting.popleft()
        block = future.result()
        if settings.allow_truncated and any(isinstance(item, BadImage) for item in block.items):
            wait([other for other, _ in waiting])  # Pillow's switch is for all threads: let them come to rest
            for i, item in enumerate(block.items):
                if isinstance(item, BadImage):
                    block.items[i] = again = _decode_one(images, block.indices[i], settings)
                    if isinstance(again, Decoded) and block.sums is not None:
                        block.sums.add(again.pixels[None])
        return block

    try:
        for shard, images in shards:
            for indices in shard.blocks():
                waiting.append((pool.submit(_decode_block, images, indices, strict, shard.sums), images))
                if len(waiting) > window:
                    yield next_one()
        while waiting:
            yield next_one()
    finally:
        for future, _ in waiting:
            future.cancel()


def _decode_block(images: Images, indices: range, settings: Settings, with_sums: bool) -> Block:
    items = [_decode_one(images, index, settings) for index in indices]
    block = Block(indices, items, PixelSums.zero(settings.size, settings.channels) if with_sums else None)
    good = [item.pixels for item in items if isinstance(item, Decoded)]
    if block.sums is not None and good:
        block.sums.add(np.stack(good))
    return block


def _decode_one(images: Images, index: int, settings: Settings) -> Decoded | BadImage:
    try:
        return images.decode(index, settings)
    except BadImage as error:
        return BadImage(error.path, error.reason)  # a new one: the old one's traceback holds the file's content


def write(folder: Path, shard: Shard, images: Images, settings: Settings, blocks: Iterable[Block]) -> Record:
    """Write a shard and its record. Raises DiskFullError; then, as after any other end, no part of a shard stays."""
    inputs = images.stamp(shard.indices())
    found = _Findings()
    sums = PixelSums.zero(settings.size, settings.channels)
    count = shard.last - shard.first
    with files.new_file(folder / shard.file) as file:
        out = files.Hashing(file)
        out.write(_header(count, settings))
        for block in blocks:
            for index, item in zip(block.indices, block.items, strict=True):
                found.add(index, images, item)
                if isinstance(item, Decoded):
                    out.write(item.pixels.data)
            if block.sums is not None:
                sums.merge(block.sums)
        checksum = out.hexdigest()
        if found.skipped:
            count -= len(found.skipped)
            file.seek(0)
            file.write(_header(count, settings))
            file.flush()
            checksum = files.sha256(Path(file.name))
        size = file.seek(0, io.SEEK_END)
    sum_checksum = ""
    if shard.sums:
        array = files.npy(sums.pixels.astype(np.uint32))  # at most 2^14 images of at most 2^8
        files.write_bytes(shard.sums_path(folder), array)
        sum_checksum = files.sha256(shard.sums_path(folder))
    products = [[int(value) for value in row] for row in sums.products] if shard.sums else []
    record = Record(inputs, count, size, checksum, found.skipped, found.truncated, found.notes, products, sum_checksum)
    files.write_bytes(shard.record_path(folder), json.dumps(asdict(record), indent=1).encode())
    return record


class _Findings:
    """What a shard's images were like."""

    def __init__(self) -> None:
        self.skipped: list[tuple[int, str, str]] = []
        self.truncated: list[int] = []
        self.notes: dict[str, tuple[int, str]] = {}

    def add(self, index: int, images: Images, item: Decoded | BadImage) -> None:
        if isinstance(item, BadImage):
            self.skipped.append((index, images.name(index), item.reason))
            return
        if TRUNCATED in item.notes:
            self.truncated.append(index)
        for note in item.notes:
            count, first = self.notes.get(note, (0, images.name(index)))
            self.notes[note] = (count + 1, first)


def _header(count: int, settings: Settings) -> bytes:
    """The head of an .npy file of `count` images; NumPy leaves room in it, so that it is as long for any count."""
    head = io.BytesIO()
    shape = (count, settings.size, settings.size, settings.channels)
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return head.getvalue()


def read_record(folder: Path, shard: Shard) -> Record | None:
    """The record of a shard that was once written whole, or None."""
    try:
        values = json.loads(shard.record_path(folder).read_text(encoding="utf-8"))
        record = Record(**values)
        skipped = [(int(number), str(name), str(reason)) for number, name, reason in record.skipped]
        notes = {note: (int(count), str(first)) for note, (count, first) in record.notes.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return replace(record, skipped=skipped, notes=notes)


def damage(folder: Path, shard: Shard, record: Record) -> str | None:
    """What is wrong with the files of a shard, or None."""
    try:
        size = (folder / shard.file).stat().st_size
        if size != record.bytes:
            return f"{shard.file} has {size:,} bytes instead of {record.bytes:,}"
        if files.sha256(folder / shard.file) != record.sha256:
            return f"checksum wrong: {shard.file}"
        if shard.sums and files.sha256(shard.sums_path(folder)) != record.sum_sha256:
            return f"checksum wrong: {shard.sums_path(folder).name}"
    except OSError as error:
        return f"{shard.file}: {error.strerror}"
    return None


def outdated(record: Record, images: Images, settings: Settings) -> bool:
    """Would the images of a shard come out otherwise today, though their files are the same?

    Those that could not be read are tried again (not while other threads decode), and those that were truncated must
    still be allowed.
    """
    if record.truncated and not settings.allow_truncated:
        return True
    return any(isinstance(_decode_one(images, index, settings), Decoded) for index, _, _ in record.skipped)


def sums_of(folder: Path, shard: Shard, record: Record) -> PixelSums:
    """The sums over a shard, from its record."""
    return PixelSums(record.count, np.load(shard.sums_path(folder), allow_pickle=False), np.array(record.products))
