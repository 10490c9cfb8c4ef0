"""Makes the sheets of embedded images, `train.png` and `val.png`, from the four IDX files of Fashion-MNIST.

    python make_sheets.py FOLDER [OUT]

FOLDER holds train-images-idx3-ubyte.gz and the others; Debian's package dataset-fashion-mnist puts them in
/usr/share/datasets/fashion-mnist. The sheets are written to OUT, by default the folder of this script.

Each class gives its first 1,000 images in file order of the training set to `train.png`, and its first 200 of the
test set to `val.png`. A sheet has 100 images of 28x28 pixels in a row; image i, counted along the rows, is of class
i modulo 10, so that every run of ten images holds each class once.
"""

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, COLUMNS, CLASSES = 28, 100, 10
SHEETS = (("train", "train", 1000), ("t10k", "val", 200))  # name in the IDX files, name of the sheet, images a class


def read_idx(path: Path, magic: int) -> np.ndarray:
    """The array of bytes in a gzipped IDX file."""
    data = gzip.decompress(path.read_bytes())
    found = int.from_bytes(data[:4], "big")
    if found != magic:
        raise SystemExit(f"{path}: got {found:#x} as its first four bytes, wanted {magic:#x}")
    shape = np.frombuffer(data, ">u4", magic & 0xFF, offset=4)  # the last byte is the number of dimensions
    return np.frombuffer(data, np.uint8, offset=4 + shape.nbytes).reshape([int(size) for size in shape])


def sheet(images: np.ndarray, labels: np.ndarray, per_class: int) -> np.ndarray:
    """The first `per_class` images of each class in turn, laid out in rows."""
    chosen = np.stack([np.flatnonzero(labels == label)[:per_class] for label in range(CLASSES)], axis=1).ravel()
    rows = images[chosen].reshape(-1, COLUMNS, SIDE, SIDE)
    return rows.transpose(0, 2, 1, 3).reshape(len(rows) * SIDE, COLUMNS * SIDE)


def main(folder: Path, out: Path) -> None:
    for source, name, per_class in SHEETS:
        images = read_idx(folder / f"{source}-images-idx3-ubyte.gz", 0x803)
        labels = read_idx(folder / f"{source}-labels-idx1-ubyte.gz", 0x801)
        pixels = sheet(images, labels, per_class)
        path = out / f"{name}.png"
        Image.fromarray(pixels).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 of its pixels {hashlib.sha256(pixels.data).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent)
