# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The networks that `ubcn study baselines` has trained, to show what they make of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ubcn_ros.evaluation.measure import LoadedModel
from ubcn_ros.json_files import as_written
from ubcn_ros.runtime.weights import SUFFIX
from ubcn_ros.study.results_file import read_results
from ubcn_ros.study.shown_image import step_labels

TITLES = {'ddn': 'DDN', 'rescan': 'RESCAN', 'prenet': 'PReNet', 'jorder-e': 'JORDER-E',
          'rcdnet': 'RCDNet'}
"""What the papers call them."""
INPUT, OURS = 'input', 'UBCN'
"""Titles of the image in rain, and of UBCN."""


def load_baselines(folder: Path, budget: str, device: str, precision: str
                   ) -> dict[str, LoadedModel]:
    """
    Load the baselines that a study has trained, by title.

    :param folder, budget: as of ``trained_file``.
    :raises ModelFileError: a file that is there cannot be loaded.
    :raises ValueError: as ``trained_file``.
    """
    return {title: LoadedModel.load(path, device, precision, ('derain',))
            for name, title in TITLES.items() if (path := trained_file(folder, budget, name))}


def trained_file(folder: Path, budget: str, name: str) -> Path | None:
    """
    Return the model file of a network that a study has trained; None where there is none.

    :param folder: output folder of ``ubcn study baselines``.
    :param budget: 'samples' or 'time', for which it was trained.
    :raises ValueError: there are several.
    """
    place = folder / budget / name
    files = sorted(place.glob(f'*{SUFFIX}'))
    if len(files) > 1:
        raise ValueError(f'{place} has {len(files)} model files: leave the one that is meant')
    return files[0] if files else None


def diverged(folder: Path, budget: str) -> list[str]:
    """
    Return the titles of the baselines whose training a study has given up, as it diverged.

    :param folder, budget: as of ``trained_file``.
    :raises ValueError: the study's file is not one.
    """
    path = folder / 'baselines.json'
    if not path.is_file():
        return []
    results = read_results(path)
    with as_written(path, 'ubcn study baselines'):
        rows = results['trained'].get(budget, {})
        return [title for name, title in TITLES.items() if 'error' in rows.get(name, ())]


@torch.inference_mode()
def by_method(model: LoadedModel, baselines: Mapping[str, LoadedModel], image: torch.Tensor,
              iterations: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """
    Derain an image by every method, and label what each has derained by one network.

    :param model: UBCN, whose segmentation network it is.
    :param baselines: by title, each in the place of IDM.
    :param image: (1, 3, H, W) 0..1, as ``model.upload`` makes it.
    :param iterations: T of UBCN.
    :return: by title the image as (1, 3, H, W) and its labels as (H, W): INPUT, the baselines,
        and OURS at its last step.
    """
    derained = {INPUT: image, **{title: baseline.network.derain_first(image)[0]
                                 for title, baseline in baselines.items()}}
    step = model.loop(image, iterations)[-1]
    return {**{title: (each, model.segment(each)) for title, each in derained.items()},
            OURS: (step.image, step_labels(step))}
