"""Cases of dropout: the mask is exact on every backend, whatever part of the layer a shard holds."""

import math
from dataclasses import dataclass, fields

import numpy as np

from ... import ops
from ..table import Arguments, Operation, absolute, sample


@dataclass(frozen=True)
class DropoutCase:
    name: str
    x: tuple[int, ...]
    keep: float = 0.5
    seed: int = 1
    step: int = 3
    layer: int = 6
    first_row: int = 0
    first_image: int = 0
    inverted: bool = True


CASES = (
    DropoutCase("one element", (1, 1)),
    DropoutCase("keep everything", (5, 7), keep=1.0),
    DropoutCase("keep almost nothing", (33, 17), keep=2.0**-20),
    DropoutCase("keep 0.8", (29, 31), keep=0.8),
    DropoutCase("keep 0.3: no float is 1 / 0.3", (13, 24), keep=0.3),
    DropoutCase("not inverted, as in 2012", (64, 33), inverted=False),
    DropoutCase("images", (3, 4, 5, 6)),
    DropoutCase("a tower's rows", (64, 16), first_row=2048),
    *(DropoutCase(f"images from {n} on", (9, 13), first_image=n) for n in (1, 2, 3, 4, 126)),
    DropoutCase("largest counters", (7, 9), seed=2**64 - 1, step=2**32 - 1, layer=2**32 - 1),
    *(DropoutCase(f"batch of {n}", (6, n)) for n in (2, 3, 4, 5, 31, 32, 33, 127, 128, 129, 257)),
    DropoutCase("alexnet_2012 fc6", (4096, 3), inverted=False),
)
_PARAMETERS = tuple(f.name for f in fields(DropoutCase) if f.name not in ("name", "x"))


def _operation(name: str, array: str) -> Operation:
    def draw(case: DropoutCase, rng: np.random.Generator, values: str) -> Arguments:
        fixed = {parameter: getattr(case, parameter) for parameter in _PARAMETERS}
        return Arguments(values={array: sample(rng, case.x, values)}, fixed=fixed)

    return Operation(
        name,
        ("y",),
        CASES,
        draw,
        terms=lambda a: 2,  # the scale 1 / keep, and the product
        scale=lambda a: getattr(ops, name)(**absolute(a, array)),
        # 1 / keep is a number that float32 holds only where keep is a power of two
        exact_on_integers=lambda a: not a["inverted"] or math.frexp(a["keep"])[0] == 0.5,
    )


OPERATIONS = (_operation("dropout", "x"), _operation("dropout_backward", "dy"))
