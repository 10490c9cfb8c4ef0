"""What kernels found wrong with their data, asked for after the fact."""

import sys


def check_status() -> None:
    """Raise ValueError if a kernel has met bad data since the last call; waits for the devices that ran one.

    A kernel cannot raise. On "cuda" and "emulated", a label out of range, a crop that leaves its image, and a loss that
    is not finite (without a step state) are noted on the device, and turned into an exception here, where the loss is
    read: with the operation, the argument and the first image concerned. Meanwhile such a crop is NaN, and such a label
    makes the loss NaN, which turns off updates that have a step state. Returns None when nothing was noted, and at
    once when only NumPy backends have run: they raise by themselves.
    """
    kernels = sys.modules.get(f"{__package__}.kernels")  # nobody has used it: nothing to ask
    if kernels is not None:
        kernels.check_status()
