"""Dropout, and the counter-based random numbers it draws."""

import numpy as np

from .common import wide


def philox4x32(counter, key):
    """Philox4x32-10 (Salmon et al., SC 2011): four random 32-bit words per counter.

    counter: four integers or arrays of them that broadcast; key: two integers. Returns uint32 [..., 4].
    """
    low = np.uint64(0xFFFFFFFF)
    c = [np.asarray(word).astype(np.uint64) & low for word in counter]
    k = [int(word) & 0xFFFFFFFF for word in key]
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * c[0]
        product1 = np.uint64(0xCD9E8D57) * c[2]
        high0, high1 = product0 >> np.uint64(32), product1 >> np.uint64(32)
        c = [high1 ^ c[1] ^ np.uint64(k[0]), product1 & low, high0 ^ c[3] ^ np.uint64(k[1]), product0 & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(np.broadcast_arrays(*c), axis=-1).astype(np.uint32)


def _kept(shape, keep, seed, step, layer, first_row, first_image):
    """Boolean [features, images]: each bit depends on its global feature and image alone, not on the shard."""
    feature = first_row + np.arange(shape[0])[:, None]
    image = first_image + np.arange(shape[1])
    groups, which = np.unique(image >> 2, return_inverse=True)
    words = philox4x32((groups, feature, layer, int(np.asarray(step).item())), (seed, seed >> 32))
    return words[:, which, image & 3] < keep * 2.0**32


def dropout(x, *, keep, seed, step, layer, first_row, first_image, inverted, out):
    x = wide(x)
    flat = x.reshape(-1, x.shape[-1])
    mask = _kept(flat.shape, keep, seed, step, layer, first_row, first_image)
    scale = x.dtype.type(1 / keep if inverted else 1)
    out[...] = np.where(mask, flat * scale, 0).reshape(out.shape)


dropout_backward = dropout  # the map is linear and diagonal: it is its own adjoint
