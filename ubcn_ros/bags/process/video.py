# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Videos of what a job does: each camera's images beside what comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ubcn_ros.bags.errors import BagError
from ubcn_ros.bags.headers import header_stamp_ns
from ubcn_ros.bags.process.job_reader import Item
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.process.outputs import find_prefixes
from ubcn_ros.images.panes import PaneVideo


def video_paths(path: Path, job: Job) -> dict[str, Path]:
    """
    Name the video of each camera of a job: `path` itself where there is only one.

    Of two cameras seen.mp4 becomes seen.front.mp4 and seen.rear.mp4.

    :return: from the topic to the file.
    :raises BagError: two would get the same name.
    """
    if len(job.cameras) == 1:
        return {job.cameras[0].topic: path}
    paths: dict[str, Path] = {}
    for topic, prefix in find_prefixes([camera.topic for camera in job.cameras]).items():
        camera = prefix.strip('/').replace('/', '-')
        name = path.with_name('.'.join(filter(None, (path.stem, camera))) + path.suffix)
        if name in paths.values():
            raise BagError(f'the videos of two cameras would be {name}: process the cameras one '
                           'by one (--topic), or leave out --video')
        paths[topic] = name
    return paths


class CameraVideos(ExitStack):
    """
    Writes a video of each camera, frames at their stamps; the sink of `run_job`.

    A context manager: the videos are whole also where an exception or a signal ends the job.

    :param paths: from the topics of the cameras to files.
    :param label_set: the LabelSet of the labels.
    :raises VideoError: one cannot be written.
    """

    def __init__(self, paths: Mapping[str, Path], label_set: Any):
        super().__init__()
        self._videos = {topic: self.enter_context(PaneVideo(path, label_set))
                        for topic, path in paths.items()}

    @property
    def notes(self) -> list[str]:
        """What is to be told of the videos: frames that are not shown at their stamps."""
        return [video.note for video in self._videos.values() if video.note]

    def __call__(self, item: Item) -> None:
        """Write the frame of an item."""
        frame = item.frame
        self._videos[item.camera.topic].write_panes(
            item.pixels, frame.derained, frame.labels, header_stamp_ns(item.record.data) / 1e9)
