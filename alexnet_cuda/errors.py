"""The one exception type that Python does not have; everything else is TypeError, ValueError or MemoryError."""


class DeviceError(RuntimeError):
    """A device cannot be used: no CUDA build, no driver, no such device, or arrays on different devices."""
