"""Images: sources, the prepared store, and what feeds a training run."""

from .decode import BadImage
from .loader import Batch, Loader
from .prepare import prepare
from .sample import sample
from .store import Split, Store, StoreError, open, verify

__all__ = [
    "BadImage",
    "Batch",
    "Loader",
    "Split",
    "Store",
    "StoreError",
    "open",
    "prepare",
    "sample",
    "verify",
]
