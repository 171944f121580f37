# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read, decode, infer and encode at the same time: in order, and bounded in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from ubcn_ros.bags.errors import MalformedMessage
from ubcn_ros.bags.process.job_reader import Item
from ubcn_ros.bags.storage.records import Record

LIMIT_BYTES = 256 << 20
"""Most bytes of records in memory, unless a single one has more."""
_ITEM_BYTES = 1000  # of an item beside its record's data


class ThreadedPipeline:
    """
    Takes items through decode, infer and encode, and yields them in order; a context manager.

    One thread reads, one infers, some decode and encode; whoever iterates writes. Leaving the
    context ends them, with the frame that they are at.

    :param items: to go through; iterated in a thread.
    :param decode: of a record, to message and pixels; raises MalformedMessage.
    :param infer: item, with its pixels, to a frame.
    :param encode: item, with its frame, and message to output records.
    :param workers: threads that decode and encode.
    """

    def __init__(self, items: Iterable[Item], decode: Callable[[Record], tuple[Any, Any]],
                 infer: Callable[[Item], Any], encode: Callable[[Item, Any], list[Record]],
                 workers: int):
        self.busy_s = {'read': 0.0, 'decode': 0.0, 'infer': 0.0, 'encode': 0.0}
        """Seconds that each stage worked, of all its threads together."""
        self._items, self._infer = items, infer
        self._decode, self._encode = self._timed('decode', decode), self._timed('encode', encode)
        self._pool = ThreadPoolExecutor(workers, 'codec')
        # an image in each worker, in the engine, before and behind it
        self._room = _Room(LIMIT_BYTES, workers + 3)
        self._to_infer: SimpleQueue[Item | BaseException | None] = SimpleQueue()
        self._to_write: SimpleQueue[Item | BaseException | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(work, queue), daemon=True,
                                          name=work.__name__.strip('_'))
                         for work, queue in ((self._read, self._to_infer),
                                             (self._run_frames, self._to_write))]

    def __enter__(self) -> ThreadedPipeline:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._room.close()
        self._to_infer.put(None)
        for thread in self._threads:
            thread.join()
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Generator[Item, None, None]:
        """Yield the items, `outputs` a list of records; raise what a stage raised at its place."""
        while (item := self._to_write.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            size = _size(item)
            item.outputs = [] if item.outputs is None else item.outputs.result()
            yield item
            self._room.leave(size, item.camera is not None)

    def _run(self, work: Callable[[], None], queue: SimpleQueue) -> None:
        try:
            work()
        except BaseException as error:  # told in the thread that iterates
            queue.put(error)
        else:
            queue.put(None)

    def _read(self) -> None:
        items = iter(self._items)
        while True:
            begun = time.perf_counter()
            item = next(items, None)
            self._worked('read', begun)
            if item is None or not self._room.enter(_size(item), item.camera is not None):
                return
            if item.camera is not None:
                item.decoded = self._pool.submit(self._decode, item.record)
            self._to_infer.put(item)

    def _run_frames(self) -> None:
        while not self._room.closed and (item := self._to_infer.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            if item.decoded is not None:
                self._run_frame(item)
            self._to_write.put(item)

    def _run_frame(self, item: Item) -> None:
        decoded, item.decoded = item.decoded, None
        try:
            message, item.pixels = decoded.result()
        except MalformedMessage as error:
            item.error = str(error)
            return
        begun = time.perf_counter()
        item.frame = self._infer(item)
        self._worked('infer', begun)
        item.outputs = self._pool.submit(self._encode, item, message)

    def _timed(self, stage: str, work: Callable) -> Callable:
        def timed(*arguments: Any) -> Any:
            begun = time.perf_counter()
            try:
                return work(*arguments)
            finally:
                self._worked(stage, begun)
        return timed

    def _worked(self, stage: str, begun: float) -> None:
        with self._lock:
            self.busy_s[stage] += time.perf_counter() - begun


class _Room:
    """What is in memory at a time: bytes of records, and images."""

    def __init__(self, limit_bytes: int, limit_images: int):
        self.closed = False
        self._limit_bytes, self._limit_images = limit_bytes, limit_images
        self._bytes = self._images = 0
        self._changed = threading.Condition()

    def enter(self, size: int, image: bool) -> bool:
        """Wait for room; return whether there is some, which it is not once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or not self._bytes or (
                self._bytes + size <= self._limit_bytes
                and self._images + image <= self._limit_images))
            self._bytes += size
            self._images += image
            return not self.closed

    def leave(self, size: int, image: bool) -> None:
        with self._changed:
            self._bytes -= size
            self._images -= image
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify()


def _size(item: Item) -> int:
    return len(item.record.data) + _ITEM_BYTES
