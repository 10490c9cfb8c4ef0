"""An image folder, and the store that `prepare` makes of it."""

import pytest
from pictures import blocks, encoded, made, tree, write


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """50 training images, which make three shards, and 10 of validation, one of them CMYK."""
    root = tree(tmp_path_factory.mktemp("images"), train=25, val=5)
    write(root / "val" / "dog" / "04.png", encoded(blocks(5), "JPEG", mode="CMYK"))
    return root


@pytest.fixture(scope="session")
def whole(root, tmp_path_factory):
    """The store of `root`, made in one go; not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "store"
    made(root, out)
    return out
