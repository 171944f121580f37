# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What bags are processed with, and the unit of work: a range of a bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubcn_ros.bags.cameras import BagCamera, Skipped


@dataclass(frozen=True)
class Options:
    """What is done with a bag."""

    # Arguments of `Engine.load`, by name.
    engine: tuple[tuple[str, Any], ...] = ()
    iterations: int = 3
    # Topics of cameras; () for all cameras of the bag.
    cameras: tuple[str, ...] = ()
    # Patterns of topics to take, () for all, and to leave out: as if the bag had no others.
    topics: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    # Of the bag, seconds after its beginning; None: to its end.
    start_s: float = 0.0
    duration_s: float | None = None
    # Process every n-th image of each camera.
    every: int = 1
    # Leave the images out that are processed; write the outputs alone.
    drop_inputs: bool = False
    outputs_only: bool = False
    # Derained images (and overlays) as CompressedImage: 'jpeg', 'png'; masks as PNG then.
    compress: str | None = None
    # Write labels in colour and overlays, too; write confidences, too.
    pictures: bool = False
    confidence: bool = False
    # A new file after so many bytes or nanoseconds.
    split_bytes: int | None = None
    split_ns: int | None = None


@dataclass(frozen=True)
class Job:
    """
    A range of a bag, and where its outputs go: all that a process on another machine needs.

    `source` and `out` are paths of bags. Taken is what was recorded from `start_ns` on and before
    `end_ns`; `begin_ns` is where the first range of the bag begins. `topics` are those that the
    options take; `cameras` and `skipped` are those of the whole bag. Where it is a `piece`,
    joining them checks the bag's files, once. `notes` are what a user should know of the number
    of pieces, a line each.
    """

    source: Path
    out: Path
    options: Options
    begin_ns: int
    start_ns: int
    end_ns: int
    topics: tuple[str, ...]
    cameras: tuple[BagCamera, ...]
    skipped: tuple[Skipped, ...]
    piece: bool = False
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> bool:
        """Whether it writes what stands once in a bag: attachments, metadata, what is latched."""
        return self.start_ns == self.begin_ns

    @property
    def copied(self) -> set[str]:
        """Topics that are copied, whatever becomes of their messages."""
        if self.options.outputs_only:
            return set()
        dropped = {camera.topic for camera in self.cameras} if self.options.drop_inputs else set()
        return {topic for topic in self.topics if topic not in dropped}

    @property
    def read(self) -> set[str]:
        """Topics that are read."""
        return self.copied | {topic for camera in self.cameras
                              for topic in (camera.topic, camera.camera_info) if topic}
