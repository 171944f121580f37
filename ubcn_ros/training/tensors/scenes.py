# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All scenes of a training on the device: images at several sizes, labels and distances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.rain import estimate_airlight
from ubcn_ros.data.scenes import CleanFrame, SceneList
from ubcn_ros.runtime.out_of_memory import release_cached_memory
from ubcn_ros.stopping import map_in_threads
from ubcn_ros.training.drive_frames import FRAMES_PER_DRIVE, DriveFrames, drive_size
from ubcn_ros.training.prerender import rendered_ahead

LEVELS = 4
"""Of an image: its own size, a half, a quarter and an eighth."""

_IMAGE_BYTES = 3 * 4 / 3  # of a pixel, with the levels
_FRAME_BYTES = _IMAGE_BYTES + 1 + 2 / 4  # with labels and distance


@dataclass(frozen=True)
class SceneTensors:
    """
    Scenes on a device, padded to one size by repeating their last row and column.

    N images of the scenes, then of drives; M with the rainy views of scenes that have one behind.

    :param images: levels of (M, 3, H, W) uint8 RGB, each half as large as the one before.
    :param labels: (N, H, W) uint8.
    :param depth: (N, 1, H / 2, W / 2) float16 metres, measured or else tied to the classes.
    :param sizes: (M, 2) int, height and width without the padding.
    :param airlight: (M, 3) float32 RGB on 0..1, as ``rain.estimate_airlight``.
    :param scenes: how many images are of scenes; the drives' come after them.
    :param drives: how many are of drives.
    :param measured: N, whether an image's distance was measured.
    :param rainy: number of the image that shows a scene in its own rain, by the scene's number.
    """

    images: tuple[torch.Tensor, ...]
    labels: torch.Tensor
    depth: torch.Tensor
    sizes: np.ndarray
    airlight: np.ndarray
    scenes: int
    drives: int
    measured: tuple[bool, ...]
    rainy: dict[int, int]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.labels.device


_loaded: dict[object, tuple[SceneList, SceneTensors]] = {}  # of the last call


def load_scenes(scenes: SceneList, device: torch.device, drives: int = 0, seed: int = 0,
                workers: int = 0) -> SceneTensors:
    """
    Decode all scenes and render frames of drives.

    Those of the last call are kept: the stages of a run train on the same scenes.

    :param drives: number of frames of procedural drives.
    :param seed: of the drives.
    :param workers: processes that render them.
    :raises DataSetError: a file cannot be read.
    :raises ValueError: the memory of the device does not hold them.
    """
    key = (tuple(map(id, scenes.scenes)), scenes.class_names, device, drives, seed)
    if key not in _loaded:
        _loaded.clear()  # its memory is needed
        # with the scenes, so that no other gets their identity
        _loaded[key] = scenes, _load(scenes, device, drives, seed, workers)
    return _loaded[key][1]


def release_scenes() -> None:
    """Forget those of the last call, whose memory is free once nobody uses them."""
    _loaded.clear()


def _load(scenes: SceneList, device: torch.device, drives: int, seed: int, workers: int
          ) -> SceneTensors:
    frames = _read(scenes, device, drives)
    largest = np.max([frame.image.shape[:2] for frame in frames], 0)
    frames += map_in_threads(partial(_compact, scenes),
                             _drive_frames(drives, seed, largest, scenes, workers))
    count = len(frames)
    images, labels, depth, measured, views = map(list, zip(*frames, strict=True))
    del frames  # so that every image's memory is free once it is stacked
    rainy = [n for n, view in enumerate(views) if view is not None]
    images += [views[n] for n in rainy]
    del views
    airlight = np.array(list(map_in_threads(estimate_airlight, images)))
    sizes = np.array([image.shape[:2] for image in images])
    size = [-(-int(side) // (1 << LEVELS - 1)) << LEVELS - 1 for side in largest]
    return SceneTensors(
        _levels(_stacked(images, size, device)), _stacked(labels, size, device),
        _stacked(depth, [side // 2 for side in size], device)[:, None], sizes, airlight,
        len(scenes), drives, tuple(measured),
        {n: count + place for place, n in enumerate(rainy)})


class _CompactFrame(NamedTuple):
    """A frame with half as many rows and columns of the distance, and whether it was measured."""

    image: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    measured: bool
    rainy: np.ndarray | None


def _compact(scenes: SceneList, frame: CleanFrame) -> _CompactFrame:
    return _CompactFrame(frame.image, frame.labels, _half_depth(frame, scenes),
                         frame.depth is not None, frame.rainy)


def _read(scenes: SceneList, device: torch.device, drives: int) -> list[_CompactFrame]:
    """Decode all scenes; too many are told by the first of that size, not after the last."""
    count = len(scenes) + drives
    pairs = sum(scene.rainy_path is not None for scene in scenes.scenes)
    frames, largest = [], np.zeros(2, int)
    free = _free_memory(device)  # before the first is decoded, and counts as used
    for frame in map_in_threads(lambda scene: _compact(scenes, scene.read()), scenes.scenes):
        size = np.maximum(largest, frame.image.shape[:2])
        if (size > largest).any():
            largest = size
            _check_memory(count, pairs, largest, free, scenes)
        frames.append(frame)
    return frames


def _check_memory(count: int, rainy: int, largest: np.ndarray, free: tuple[float, str],
                  scenes: SceneList) -> None:
    """Raise ValueError unless they fit into what is free, as of ``_free_memory``."""
    needed, (left, where) = (count * _FRAME_BYTES + rainy * _IMAGE_BYTES) * largest.prod(), free
    if needed > 0.7 * left:  # training needs some, too
        kept = ' (of which image pairs take no notice)' if rainy else ''
        raise ValueError(
            f'{scenes.name}: {count + rainy} images of up to {largest[1]}x{largest[0]} need '
            f'{needed / 2**30:.1f} GiB of {left / 2**30:.1f} GiB that are free {where}: set '
            f"the recipe's samples.on_device to false, or a smaller data.short_side{kept}")


def _free_memory(device: torch.device) -> tuple[float, str]:
    """Return how many bytes are free for scenes on a device, infinite where unknown, and where."""
    if device.type == 'cuda':
        release_cached_memory()  # of a training before this one, else it counts as used
        return torch.cuda.mem_get_info(device)[0], f'on {device}'
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    kib = [int(line.split()[1]) for line in lines if line.startswith('MemAvailable:')]
    return 1024 * kib[0] if kib else math.inf, 'in the memory of this machine'


def _drive_frames(count: int, seed: int, largest: np.ndarray, scenes: SceneList, workers: int
                  ) -> list[CleanFrame]:
    frames = DriveFrames(seed, drive_size(largest), scenes.label_set)
    firsts = range(0, count, FRAMES_PER_DRIVE)
    streets = rendered_ahead(partial(_street, frames, count), firsts, workers)
    return [frame for street in streets for frame in street]


def _street(frames: DriveFrames, count: int, first: int) -> list[CleanFrame]:
    """Render a street's frames, of which there are so many in all."""
    return [frames[n] for n in range(first, min(first + FRAMES_PER_DRIVE, count))]


def _half_depth(frame: CleanFrame, scenes: SceneList) -> np.ndarray:
    """Distance of every second pixel, float16 metres, measured or else from the prior."""
    depth = None if frame.depth is None else np.ascontiguousarray(frame.depth[::2, ::2])
    depth = complete_depth(depth, np.ascontiguousarray(frame.labels[::2, ::2]),
                           scenes.class_names)
    return np.minimum(depth, 1e4).astype(np.float16)


def _stacked(parts: list[np.ndarray], size: list[int], device: torch.device) -> torch.Tensor:
    """
    Pad arrays (H, W) or (H, W, C) to one size: (M, H, W) or (M, C, H, W) on the device.

    :param parts: empty afterwards: all of them twice may be more than memory holds.
    """
    kind = torch.from_numpy(parts[0]).dtype
    stack = torch.empty(len(parts), *parts[0].shape[2:], *size, dtype=kind, device=device)
    while parts:
        part = parts.pop()
        place = stack[len(parts)]
        below, right = (wanted - have for wanted, have in zip(size, part.shape, strict=False))
        edges = [(0, below), (0, right), *[(0, 0)] * (part.ndim - 2)]
        padded = torch.from_numpy(np.pad(part, edges, mode='edge')).to(device)
        place.copy_(padded.movedim(-1, 0) if part.ndim == 3 else padded)
    return stack


def _levels(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Halve images (M, 3, H, W) uint8 again and again by means of 2x2 pixels."""
    levels = [images]
    for _ in range(LEVELS - 1):
        levels.append(torch.cat([F.avg_pool2d(few.float(), 2).round_().byte()
                                 for few in levels[-1].split(16)]))
    return tuple(levels)
