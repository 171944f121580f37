# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where in the scenes a class is, so that rare classes come as often as common ones."""

from __future__ import annotations

import numpy as np

from ubcn_ros.training.tensors.scenes import SceneTensors

_GRID = 4  # every fourth pixel of every fourth row is looked at
_PLACES = 8  # of a class in an image


class ClassPlaces:
    """
    A few places of every class in every image of scenes and drives.

    :param tensors: the scenes.
    :param num_classes: of the labels; groups and unlabeled pixels do not count.
    :param seed: of the choice of places.
    :raises ValueError: no pixel has a class.
    """

    def __init__(self, tensors: SceneTensors, num_classes: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 10])
        half = _GRID // 2
        labels = tensors.labels[:, half::_GRID, half::_GRID].cpu().numpy()
        found: list[dict[int, np.ndarray]] = [{} for _ in range(num_classes)]
        for image, seen in enumerate(labels):
            height, width = (-(-(int(side) - half) // _GRID) for side in tensors.sizes[image])
            seen = seen[:max(0, height), :max(0, width)]
            for number in np.unique(seen[seen < num_classes]):
                places = np.argwhere(seen == number)
                some = rng.choice(len(places), min(_PLACES, len(places)), replace=False)
                found[number][image] = places[some] * _GRID + half + 0.5
        if not any(found):
            raise ValueError('balanced_crop_probability: no pixel of the scenes has a class')
        of_scenes, of_drives = ([
            kept for places in found
            if (kept := {n: at for n, at in places.items() if (n >= tensors.scenes) == drive})]
            for drive in (False, True))
        self._found = of_scenes or of_drives, of_drives or of_scenes

    def draw(self, rng: np.random.Generator, of_drive: bool = False
             ) -> tuple[int, tuple[float, float]]:
        """
        Draw a class, one of its images and one of its places there, (y, x) in pixels.

        :param of_drive: among the images of drives instead of scenes, where one has a class.
        """
        found = self._found[of_drive]
        images = found[int(rng.integers(len(found)))]
        image = [*images][int(rng.integers(len(images)))]
        y, x = images[image][int(rng.integers(len(images[image])))]
        return image, (float(y), float(x))
