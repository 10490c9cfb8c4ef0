"""Devices whose streams run late, in any order the events allow: what a missing wait looks like on a CPU."""

import random

import numpy as np


class World:
    """Devices that share it run what they were given when anyone synchronises, in a seeded random legal order."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.devices = []
        self.happened = set()

    def drain(self):
        while any(device.queue for device in self.devices):
            ready = [d for d in self.devices if d.queue and (d.queue[0][0] is None or d.queue[0][0] in self.happened)]
            assert ready, "every stream waits for another: a deadlock"
            _, call = self.random.choice(ready).queue.pop(0)
            call()


class LazyDevice:
    """A host device with a queue; an entry is (event it waits for or None, call)."""

    def __init__(self, world, name):
        self.world, self.name, self.copies, self.queue = world, name, [], []
        self._pinned = set()
        world.devices.append(self)

    def empty(self, shape, dtype):
        return np.full(shape, 99, dtype)

    def zeros(self, shape, dtype):
        return np.zeros(shape, dtype)

    def pinned(self, shape, dtype):
        array = np.empty(shape, dtype)
        self._pinned.add(id(array))
        return array

    def submit(self, call):
        self.queue.append((None, call))

    def upload(self, host, out):
        is_pinned = any(id(host) in device._pinned for device in self.world.devices)
        source = host if is_pinned else host.copy()
        self.queue.append((None, lambda: np.copyto(out, source)))

    def download(self, array, out):
        self.queue.append((None, lambda: np.copyto(out, array)))

    def copy_from(self, source, array, out):
        self.queue.append((None, lambda: np.copyto(out, array)))
        self.copies.append(array.nbytes)

    def record(self):
        event = object()
        self.queue.append((None, lambda: self.world.happened.add(event)))
        return event

    def wait(self, event):
        self.queue.append((event, lambda: None))

    def synchronize(self):
        self.world.drain()
