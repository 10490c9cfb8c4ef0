"""Window arithmetic shared by convolution and pooling: what stride, pad and ceil mode mean, in one place.

Parameters become the canonical form that every backend takes: strides, *leading* pads, and the output size.
Nothing else is needed, because a window that reaches past the bottom or right edge simply finds no pixels there.
"""

from dataclasses import dataclass

from .parameters import IntOrPair, pair

Pad = IntOrPair | str


@dataclass(frozen=True)
class Windows:
    """Windows of `size` placed over an image; all pairs are (vertical, horizontal)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    outputs: tuple[int, int]


def windows(
    op: str, image: tuple[int, int], size: tuple[int, int], stride: IntOrPair, pad: Pad, ceil_mode: bool
) -> Windows:
    """Place windows of `size` (R, S) over an `image` (H, W).

    `ceil_mode=False` gives `1 + floor((2*pad + H - R) / stride)` outputs, True rounds up as cuda-convnet does
    (layer.py:1004 of the released 2012 source). `"valid"` is pad 0; `"same"` gives `ceil(H / stride)` outputs and
    splits the padding that takes, the odd pixel at the bottom and right.

    Raises ValueError for a window larger than the padded image and for one that would see no pixel at all.
    """
    strides = pair(op, "stride", stride, minimum=1)
    if isinstance(pad, str):
        if pad not in ("valid", "same"):
            raise ValueError(f"{op}: argument 'pad': got {pad!r}, wanted an integer, a pair, 'valid' or 'same'")
        pads = (0, 0)
    else:
        pads = pair(op, "pad", pad, minimum=0)
    axes = [
        _axis(op, axis, image[i], size[i], strides[i], None if pad == "same" else pads[i], ceil_mode)
        for i, axis in enumerate(("height", "width"))
    ]
    (top, p), (left, q) = axes
    return Windows(size=size, stride=strides, pad=(top, left), outputs=(p, q))


def _axis(op: str, axis: str, image: int, size: int, stride: int, pad: int | None, ceil_mode: bool) -> tuple[int, int]:
    """Leading pad and number of outputs along one axis; `pad=None` means "same"."""
    if pad is None:
        outputs = -(-image // stride)
        pad = max((outputs - 1) * stride + size - image, 0) // 2
    else:
        span = 2 * pad + image - size
        if span < 0:
            raise ValueError(
                f"{op}: a window of {axis} {size} is larger than the image of {axis} {image} with pad {pad} "
                f"on both sides; use a smaller window or a pad of at least {-(-(size - image) // 2)}"
            )
        outputs = 1 + (-(-span // stride) if ceil_mode else span // stride)
    last_start = (outputs - 1) * stride - pad
    if pad >= size or last_start >= image:
        which = "first" if pad >= size else "last"
        fix = "a pad smaller than the window" if pad >= size else "a smaller stride or pad, or ceil_mode=False"
        raise ValueError(
            f"{op}: the {which} window along the {axis} ({size} long, stride {stride}, pad {pad}, image {image}) "
            f"covers no pixel; use {fix}"
        )
    return pad, outputs
