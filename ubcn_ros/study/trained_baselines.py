# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The networks that `ubcn study baselines` has trained, to show what they make of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ubcn_ros.evaluation.measure import LoadedModel
from ubcn_ros.network.baselines import REGISTRY
from ubcn_ros.runtime.weights import SUFFIX
from ubcn_ros.study.comparison import UBCN

TITLES = {'ddn': 'DDN', 'rescan': 'RESCAN', 'prenet': 'PReNet', 'jorder-e': 'JORDER-E',
          'rcdnet': 'RCDNet'}
"""What the papers call them."""


@dataclass(frozen=True)
class TrainedBaselines:
    """Models by title, and the titles of those that are missing."""

    models: dict[str, LoadedModel]
    missing: tuple[str, ...]


def load_baselines(folder: Path, budget: str, device: str, precision: str
                   ) -> TrainedBaselines:
    """
    Load the baselines that a study has trained.

    :param folder: output folder of ``ubcn study baselines``.
    :param budget: 'samples' or 'time', for which they were trained.
    :raises ModelFileError: a file that is there cannot be loaded.
    :raises ValueError: a folder has several model files.
    """
    models, missing = {}, []
    for name in REGISTRY:
        if path := _trained(folder, budget, name):
            models[TITLES[name]] = LoadedModel.load(path, device, precision, ('derain',))
        else:
            missing.append(TITLES[name])
    return TrainedBaselines(models, tuple(missing))


def same_budget(folder: Path, budget: str) -> Path | None:
    """Return the model file of the UBCN that a study has trained for that budget, or None."""
    return _trained(folder, budget, UBCN)


def _trained(folder: Path, budget: str, name: str) -> Path | None:
    place = folder / budget / name
    files = sorted(place.glob(f'*{SUFFIX}'))
    if len(files) > 1:
        raise ValueError(f'{place} has {len(files)} model files: leave the one that is meant')
    return files[0] if files else None


def derained_by(model: LoadedModel, image: torch.Tensor) -> torch.Tensor:
    """Derain an uploaded image by a network that stands in the place of IDM."""
    return model.network.derain_first(image)[0]
