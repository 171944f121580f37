# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hand the newest item from the executor to the worker, in one slot."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """
    Holds the newest item only; an item that was replaced before it was taken counts as dropped.

    Thread-safe. Several mailboxes share one condition, on which a worker waits for all.
    Every item is taken, dropped, or pending.
    """

    def __init__(self, condition: threading.Condition):
        self._condition = condition
        self._item: T | None = None
        self.dropped = 0

    @property
    def pending(self) -> bool:
        """Whether an item waits."""
        return self._item is not None

    def peek(self) -> T | None:
        """Return what waits without taking it; None where nothing does."""
        return self._item

    def put(self, item: T) -> None:
        """Replace the item in the slot, if any, and wake whoever waits."""
        with self._condition:
            self.dropped += self._item is not None
            self._item = item
            self._condition.notify_all()

    def take(self) -> T | None:
        """Empty the slot; None where nothing waits."""
        with self._condition:
            item, self._item = self._item, None
            return item

    def clear(self) -> None:
        """Drop what waits, counting it."""
        with self._condition:
            self.dropped += self._item is not None
            self._item = None
