"""Cases of the matrix product."""

import itertools
from dataclasses import dataclass

import numpy as np

from ... import ops
from ..table import Arguments, Operation, absolute, sample


@dataclass(frozen=True)
class GemmCase:
    """c [M, N] = op(a) @ op(b) with K products; beta other than 0 adds to a given c."""

    name: str
    M: int
    N: int
    K: int
    trans_a: bool = False
    trans_b: bool = False
    alpha: float = 1
    beta: float = 0
    bias: bool = False
    relu: bool = False


_TRANSPOSES = tuple(itertools.product((False, True), repeat=2))


def _sides(trans_a: bool, trans_b: bool) -> str:
    return f"{'a.T' if trans_a else 'a'} @ {'b.T' if trans_b else 'b'}"


SHAPES = (
    GemmCase("one of everything", 1, 1, 1),
    GemmCase("bias and relu", 33, 17, 65, trans_a=True, bias=True, relu=True),
    GemmCase("alpha", 9, 10, 11, alpha=-2),
    GemmCase("beta adds to c", 12, 7, 5, beta=1),
    GemmCase("alpha, beta, bias and relu", 31, 33, 17, alpha=2, beta=-3, bias=True, relu=True),
    *(
        GemmCase(f"{M}x{N}x{K}, {_sides(ta, tb)}", M, N, K, ta, tb)
        for (M, N, K) in ((3, 5, 7), (64, 32, 16), (65, 129, 33), (127, 31, 130))
        for ta, tb in _TRANSPOSES
    ),
    *(GemmCase(f"batch of {n}", 20, n, 13, trans_a=True, bias=True) for n in (1, 2, 127, 128, 129, 257)),
)

# Small ones that a GPU's tensor cores take in bfloat16: whole eights, around the edges of tiles; K whole and in parts.
TENSOR_CORES = (
    GemmCase("136x264x72, a @ b.T", 136, 264, 72, trans_b=True),
    *(GemmCase(f"40x72x456, {_sides(ta, tb)}", 40, 72, 456, ta, tb) for ta, tb in _TRANSPOSES),
    GemmCase("in parts, with all the rest", 120, 8, 520, True, alpha=2, beta=-3, bias=True, relu=True),
)


def _layer(name: str, inputs: int, outputs: int, n: int) -> tuple[GemmCase, ...]:
    """Forward, input gradient and weight gradient of a fully connected layer."""
    return (
        GemmCase(f"{name} forward", outputs, n, inputs, trans_a=True, bias=True, relu=True),
        GemmCase(f"{name} input gradient", inputs, n, outputs),
        GemmCase(f"{name} weight gradient", inputs, outputs, n, trans_b=True),
    )


ALEXNET = (
    # The other nets' have these sizes too, but for alexnet_mini's.
    *_layer("alexnet_2012 fc6", 9216, 4096, 2),
    *_layer("alexnet_2012 fc7", 4096, 4096, 2),
    *_layer("alexnet_2012 fc8", 4096, 1000, 3),
    *_layer("alexnet_torchvision fc6, 256 outputs", 9216, 256, 8),
    *_layer("alexnet_torchvision fc7, 256 inputs", 256, 4096, 1),
    *_layer("alexnet_torchvision fc8, 512 inputs", 512, 1000, 8),
    *_layer("alexnet_mini fc6", 512, 256, 8),
    *_layer("alexnet_mini fc7", 256, 256, 3),
    *_layer("alexnet_mini fc8", 256, 10, 8),
)
CASES = (*SHAPES, *TENSOR_CORES, *ALEXNET)


def _draw(case: GemmCase, rng: np.random.Generator, values: str) -> Arguments:
    a = (case.K, case.M) if case.trans_a else (case.M, case.K)
    b = (case.N, case.K) if case.trans_b else (case.K, case.N)
    sums = {"bias": sample(rng, (case.M,), values)} if case.bias else {}
    arrays = {"a": sample(rng, a, values), "b": sample(rng, b, values)}
    if case.beta:
        arrays["out"] = sample(rng, (case.M, case.N), values)
    flags = ("trans_a", "trans_b", "alpha", "beta", "relu")
    return Arguments(values=arrays, sums=sums, fixed={name: getattr(case, name) for name in flags})


OPERATIONS = (
    Operation(
        "gemm",
        ("c",),
        CASES,
        _draw,
        # alpha, beta and the bias add three roundings to the products of one sum
        terms=lambda a: a["a"].shape[0 if a["trans_a"] else 1] + 3,
        scale=lambda a: ops.gemm(
            **{
                **absolute(a, "a", "b", "bias", "out"),
                "alpha": abs(a["alpha"]),
                "beta": abs(a["beta"]),
                "relu": False,
            }
        ),
        tensor_cores=True,
    ),
)
