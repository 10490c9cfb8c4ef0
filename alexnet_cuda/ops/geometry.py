"""Window arithmetic shared by convolution and pooling: what stride, pad and ceil mode mean, in one place.

Parameters become the canonical form that every backend takes: strides, *leading* pads, and the output size.
Nothing else is needed, because a window that reaches past the bottom or right edge simply finds no pixels there.
"""

from dataclasses import dataclass

from .parameters import IntOrPair, flag, pair

Pad = IntOrPair | str


@dataclass(frozen=True)
class Windows:
    """Windows of `size` placed over an image; all pairs are (vertical, horizontal)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    outputs: tuple[int, int]


def windows(
    op: str, image: tuple[int, int], size: tuple[int, int], stride: IntOrPair, pad: Pad, ceil_mode: bool,
    *, size_name: str = "size",
) -> Windows:  # fmt: skip
    """Place windows of `size` (R, S) over an `image` (H, W). `size_name` is the argument that gave the size.

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
    ceil_mode = flag(op, "ceil_mode", ceil_mode)
    axes = [
        _Axis(op, size_name, axis, image[i], size[i], strides[i], None if pad == "same" else pads[i])
        for i, axis in enumerate(("height", "width"))
    ]
    (top, p), (left, q) = (axis.place(ceil_mode) for axis in axes)
    return Windows(size=size, stride=strides, pad=(top, left), outputs=(p, q))


@dataclass(frozen=True)
class _Axis:
    """Windows along one axis; pad None means "same"."""

    op: str
    size_name: str
    axis: str
    image: int
    size: int
    stride: int
    pad: int | None

    def place(self, ceil_mode: bool) -> tuple[int, int]:
        """Leading pad and number of outputs."""
        if self.pad is None:
            outputs = -(-self.image // self.stride)
            pad = max((outputs - 1) * self.stride + self.size - self.image, 0) // 2
        else:
            pad = self.pad
            span = 2 * pad + self.image - self.size
            if span < 0:
                fix = f"a smaller window or a pad of at least {-(-(self.size - self.image) // 2)}"
                raise self._error(f"a {self.axis} of {self.size}", f"at most {2 * pad + self.image}", fix)
            outputs = 1 + (-(-span // self.stride) if ceil_mode else span // self.stride)
        if pad >= self.size:
            fix = "a pad smaller than the window"
            raise self._error(f"a first window along the {self.axis} that covers no pixel", "one that does", fix)
        if (outputs - 1) * self.stride - pad >= self.image:
            fix = "a smaller stride or pad, or ceil_mode=False"
            raise self._error(f"a last window along the {self.axis} that covers no pixel", "one that does", fix)
        return pad, outputs

    def _error(self, got: str, wanted: str, fix: str) -> ValueError:
        placed = f"image {self.image}, window {self.size}, stride {self.stride}, pad {self.pad}"
        return ValueError(f"{self.op}: argument '{self.size_name}': got {got}, wanted {wanted} ({placed}); use {fix}")
