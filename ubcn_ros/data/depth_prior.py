# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distance of every pixel of a driving scene when no depth map is to be had."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from ubcn_ros.labels import plain_name

# Names that data sets give, as of plain_name. A class in none of these keeps the corridor prior.
SKY = frozenset({'sky'})
GROUND = frozenset({
    'road', 'street', 'lane', 'lanemarking', 'lanemarkings', 'lanes', 'roadmarking',
    'roadmarkings', 'marking', 'markings', 'crosswalk', 'drivable', 'drivablearea', 'asphalt',
    'parking', 'railtrack', 'sidewalk', 'pavement', 'curb', 'ground', 'terrain', 'grass', 'dirt',
    'gravel', 'sand', 'soil', 'path', 'track', 'flat'})
STATIC = frozenset({
    'building', 'buildings', 'house', 'construction', 'wall', 'fence', 'guardrail', 'barrier',
    'bridge', 'tunnel', 'pole', 'polegroup', 'post', 'lamp', 'streetlight', 'tree', 'trees',
    'bush', 'vegetation', 'nature', 'foliage', 'signsymbol', 'sign', 'signs', 'trafficlight',
    'trafficlights', 'trafficsign', 'trafficsigns', 'streetfurniture', 'infrastructure',
    'static'})
OBJECTS = frozenset({
    'car', 'cars', 'vehicle', 'vehicles', 'van', 'truck', 'trailer', 'caravan', 'bus', 'tram',
    'train', 'motorcycle', 'motorcyclist', 'motorbike', 'twowheeler', 'bicycle', 'bike', 'cycle',
    'cyclist', 'bicyclist', 'rider', 'person', 'people', 'human', 'humans', 'pedestrian',
    'pedestrians', 'animal', 'trafficcone', 'cone', 'dynamic'})


CAMERA_HEIGHT_M, CORRIDOR_M, CAP_M = 1.4, 9.0, 150.0
"""Of the prior: camera above the ground, walls to either side, farthest but for the sky."""
_SKY_M = 250.0
_WIDEST = 960  # of a corridor that is worked out pixel by pixel


def complete_depth(depth: np.ndarray | None, labels: np.ndarray,
                   class_names: Sequence[str] | None, horizon: float = 0.45,
                   focal: float = 1.0) -> np.ndarray:
    """
    Return a distance for every pixel, (H, W) float32 in metres: measured, else from the prior.

    :param depth: (H, W) metres, 0 or not finite where unknown; None where nothing is measured.
    :param labels, horizon, focal: as for ``depth_prior``.
    :param class_names: likewise; None where the labels mean nothing.
    """
    known = None if depth is None else np.isfinite(depth) & (depth > 0)
    if known is not None and known.all():
        return depth.astype(np.float32, copy=False)
    prior = depth_prior(*labels.shape, None if class_names is None else labels, class_names,
                        horizon=horizon, focal=focal)
    return prior if known is None else np.where(known, depth, prior).astype(np.float32)


def depth_prior(height: int, width: int, labels: np.ndarray | None = None,
                class_names: Sequence[str] | None = None, horizon: float = 0.45,
                focal: float = 1.0) -> np.ndarray:
    """
    Return a plausible distance per pixel, (H, W) float32 in metres.

    Without labels it is a soft minimum of a ground plane, two corridor walls and a cap, blurred,
    because a hard minimum shows its edges through the veil. With labels (H, W) uint8 and their
    names the sky is far, ground classes lie on the plane, static classes stand where their
    column meets the ground but not behind the corridor wall, and every object stands as one
    piece on its foot point.

    :param labels: (H, W) uint8 ids, or None.
    :param class_names: of the ids, in order; case, `_`, `-` and blanks do not count.
    :param horizon: the horizon's row, fraction of the height.
    :param focal: focal length, fraction of the width.
    :raises ValueError: labels of another size, or without names.
    """
    corridor = _corridor(height, width, horizon, focal)
    if labels is None:
        return corridor.copy()
    if class_names is None:
        raise ValueError('depth_prior: labels were given without class_names; pass the names of '
                         'their ids')
    if labels.shape != (height, width):
        raise ValueError(f'depth_prior: labels are {labels.shape}, expected {(height, width)}')
    names = [plain_name(name) for name in class_names]

    def mask_of(group: frozenset[str]) -> np.ndarray:
        table = np.zeros(256, bool)
        table[[i for i, name in enumerate(names) if name in group]] = True
        return table[labels]

    rows = (np.arange(height, dtype=np.float32) + 0.5) - horizon * height
    plane = focal * width * CAMERA_HEIGHT_M / np.maximum(rows, 0.5)
    plane = np.minimum(np.where(rows > 0, plane, CAP_M), CAP_M).astype(np.float32)

    depth = corridor.copy()
    ground, static, objects = mask_of(GROUND), mask_of(STATIC), mask_of(OBJECTS)
    depth[ground] = np.broadcast_to(plane[:, None], depth.shape)[ground]
    foot = plane[_run_ends(static)]
    depth[static] = np.minimum(foot, corridor)[static]
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(objects.astype(np.uint8))
    stats = stats[1:]  # piece 0 is what is no object: where there is none, its box is nowhere
    bottoms = stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT] - 1
    depth[objects] = plane[bottoms][pieces[objects] - 1]
    depth[mask_of(SKY)] = _SKY_M
    # About a pixel: objects keep their outline, label staircases disappear.
    return cv2.GaussianBlur(depth, (0, 0), max(0.6, 0.0025 * width))


@lru_cache(maxsize=4)  # training draws horizon and focal length: most never come again
def _corridor(height: int, width: int, horizon: float, focal: float) -> np.ndarray:
    """
    Soft minimum of ground plane, corridor walls and cap; (H, W) float32 metres.

    Wider ones are enlarged: the blur, whose width grows with the image's, leaves nothing finer.
    """
    if width > _WIDEST:
        small = _corridor(max(1, round(height * _WIDEST / width)), _WIDEST, horizon, focal)
        depth = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        depth.setflags(write=False)
        return depth
    f = focal * width
    v = np.arange(height, dtype=np.float32)[:, None] + 0.5 - horizon * height
    u = np.abs(np.arange(width, dtype=np.float32)[None, :] + 0.5 - width / 2)
    # Inverse distances, so that 'never' is zero; power 3 keeps the corner between planes soft.
    ground = np.maximum(v, 0) / (f * CAMERA_HEIGHT_M)
    walls = u / (f * CORRIDOR_M)
    inverse = (ground ** 3 + walls ** 3 + (1.0 / CAP_M) ** 3) ** (1 / 3)
    depth = cv2.GaussianBlur((1.0 / inverse).astype(np.float32), (0, 0), 0.02 * width)
    depth.setflags(write=False)
    return depth


def _run_ends(mask: np.ndarray) -> np.ndarray:
    """Row of the lowest pixel of each pixel's vertical run in mask; (H, W) int."""
    height = mask.shape[0]
    below = np.zeros_like(mask)
    below[:-1] = mask[1:]
    rows = np.where(mask & ~below, np.arange(height)[:, None], height - 1)
    return np.minimum.accumulate(rows[::-1], axis=0)[::-1]
