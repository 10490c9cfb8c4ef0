"""Labels of validation images that are not sorted into class folders, from a text file."""

from pathlib import Path

from .base import SourceError, some


def read_labels(path: Path, images: list[str], class_names: list[str]) -> list[int]:
    """A class number for each of `images` (file names), from lines "image class" in the file `path`.

    Separated by a tab, a comma or spaces; what follows the class is not looked at. The image may lack its ending; the
    class is a training folder's name, or its number from 0 in their order. So the lists that come with ILSVRC's Kaggle
    edition, Caffe and Tiny ImageNet fit. A file of one word a line is a class name for each image in order.
    Raises SourceError.
    """
    rows = _rows(path)
    numbers = {name: number for number, name in enumerate(class_names)}
    numbers = {str(number): number for number in range(len(class_names))} | numbers
    if rows and all(len(row) == 1 for row in rows):
        if len(rows) != len(images):
            raise SourceError(f"{path}: {len(rows):,} lines for {len(images):,} images")
        if all(row[0].isdigit() for row in rows) and rows[0][0] not in class_names:
            raise SourceError(
                f"{path}: only numbers, whose meaning is not known (ILSVRC's are not in the order of the folders);"
                " write lines 'image class', with the names of the training folders"
            )
        rows = [[image, row[0]] for image, row in zip(images, rows, strict=True)]
    known = {image: image for image in images} | {Path(image).stem: image for image in images}
    labels: dict[str, int] = {}
    for number, row in enumerate(rows):
        if len(row) < 2:
            raise SourceError(f"{path}, line {number + 1}: got {row[0]!r}, wanted 'image class'")
        image = known.get(Path(row[0]).name)
        if image is None:
            continue  # a heading, or an image that is not here; one without a label is what matters
        if row[1] not in numbers:
            raise SourceError(f"{path}: {row[0]}: {row[1]!r} is no class of train; there are {some(class_names)}")
        labels[image] = numbers[row[1]]
    missing = [image for image in images if image not in labels]
    if missing:
        raise SourceError(f"{path}: no class for {len(missing):,} of {len(images):,} images: {some(missing)}")
    return [labels[image] for image in images]


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"--val-labels {path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SourceError(f"--val-labels {path}: not a text file") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if any("\t" in line for line in lines):
        rows = [[word.strip() for word in line.split("\t")] for line in lines]
    elif any("," in line for line in lines):
        rows = [[word.strip() for word in line.split(",")] for line in lines]
    else:
        rows = [line.split() for line in lines]
    return [[row[0], row[1].split()[0]] if len(row) > 1 and row[1] else row[:1] for row in rows]
