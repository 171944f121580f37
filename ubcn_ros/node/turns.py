# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Decide which mailboxes are next, and what is taken from them together.

The owner that was served longest ago goes first, not the one whose item is oldest: newer items
replace older ones, so that a fast camera's are always the youngest, and it would starve. Nothing
is waited for to complete a batch: that only delays whoever is there, and where cameras take their
pictures at once, the next batch is complete while one is worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ubcn_ros.node.mailbox import Mailbox


class MailboxOwner(Protocol):
    """Something with a mailbox, as a camera is."""

    mailbox: Mailbox


class Turns:
    """
    Takes items from the mailboxes of owners in turn. Not thread-safe.

    An owner whose item waits is served after as many batches, at most, as there are other owners.

    :ivar owners: the one that is next first.
    :ivar most: number of items that are taken together at most; None: all that go together.
    """

    def __init__(self, key: Callable[[Any], Any]):
        """
        Serve nobody yet.

        :param key: of an item; items of equal keys go together, those of None alone. It must be
            quick and not raise.
        """
        self.owners: list[MailboxOwner] = []
        self.most: int | None = None
        self._key = key

    def serve(self, owners: Sequence[MailboxOwner]) -> None:
        """Take items from these owners' mailboxes from now on."""
        self.owners = list(owners)

    def take(self) -> list[tuple[MailboxOwner, Any]]:
        """Take the next item and what goes together with it; [] where nothing waits."""
        waiting = [owner for owner in self.owners if owner.mailbox.pending]
        if not waiting:
            return []
        taken = waiting[:1]
        key = self._key(taken[0].mailbox.peek())
        if key is not None:
            taken += [owner for owner in waiting[1:] if self._key(owner.mailbox.peek()) == key]
            taken = taken[:self.most]
        self.owners = [owner for owner in self.owners if owner not in taken] + taken
        return [(owner, owner.mailbox.take()) for owner in taken]
