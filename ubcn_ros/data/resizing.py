# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames at another size than they were taken at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ubcn_ros.data.scenes import CleanFrame, Scene, SceneList
from ubcn_ros.evenly import evenly


def resized(frame: CleanFrame, width: int, height: int) -> CleanFrame:
    """
    Resize a frame: pictures cubic where they grow, else averaged; labels and depth to nearest.

    :param width, height: pixels; another aspect than the frame's stretches it.
    """
    if frame.image.shape[:2] == (height, width):
        return frame

    def exact(values: np.ndarray | None) -> np.ndarray | None:
        return values if values is None else cv2.resize(
            values, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    return CleanFrame(_picture(frame.image, width, height), exact(frame.labels),
                      exact(frame.depth), None if frame.rainy is None else
                      _picture(frame.rainy, width, height))


def _picture(image: np.ndarray, width: int, height: int) -> np.ndarray:
    grows = width * height > image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height),
                      interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)


@dataclass(frozen=True)
class ShrunkScene(Scene):
    """A scene whose frame is read at a given short side; ``source`` is the scene as it is."""

    source: Scene | None = None
    short_side: int = 0

    def read(self) -> CleanFrame:
        """Return all of the scene, smaller; real rain, which has a size, keeps the frame's."""
        frame = self.source.read()
        return resized(frame, *self._size(frame.image))

    def image(self) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB, clean and smaller."""
        image = self.source.image()
        return _picture(image, *self._size(image))

    def _size(self, image: np.ndarray) -> tuple[int, int]:
        """Width and height to show an image at."""
        height, width = image.shape[:2]
        shrinks = 1 if self.rainy_path else min(1, self.short_side / min(height, width))
        return round(width * shrinks), round(height * shrinks)

    def labels(self) -> np.ndarray:
        """Return (H, W) uint8 class ids as they are stored, not smaller: they are counted."""
        return self.source.labels()


def shrunk(scenes: SceneList, short_side: int) -> SceneList:
    """
    Shrink all frames of a list to a short side of so many pixels; smaller ones stay as they are.

    :param short_side: pixels; 0 leaves all as they are.
    """
    if not short_side:
        return scenes
    return replace(scenes, scenes=tuple(
        ShrunkScene(scene.name, scene.image_path, scene.label_path, scene.ids, scene.depth_path,
                    scene.rainy_path, source=scene, short_side=short_side)
        for scene in scenes.scenes))


def short_sides(scenes: SceneList) -> list[int]:
    """Return the short sides, in pixels, of 25 frames of a list, spread evenly."""
    return [min(scene.image().shape[:2]) for scene in evenly(scenes.scenes, 25)]
