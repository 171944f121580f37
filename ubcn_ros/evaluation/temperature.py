# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fit the temperature that calibrates a model's confidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.data.validation_rain import RENDERED
from ubcn_ros.evaluation.measure import (
    LoadedModel,
    Progress,
    check_classes,
    rate_key,
    truth_of,
)
from ubcn_ros.evaluation.rainy_scenes import rainy_scenes
from ubcn_ros.evaluation.scores import CalibrationScore
from ubcn_ros.runtime.confidence import confidence_of
from ubcn_ros.runtime.model_info import TEMPERATURES

SAMPLE = 4096
"""Labelled pixels of an image that the temperature is fitted on, drawn with its index as seed."""
ENOUGH = 10
"""
Images to fit on, at least: those of a few may say another temperature than all of them.

Of CamVid's val (51 images, 0 and 150 mm/hr, 16 draws of each number) a temperature fitted on 1, 2,
3 or 5 images left a larger calibration error than none in 9, 6, 5 and 2 draws, on 10 in none.
"""
_NOTHING = '{} has no labelled pixel in the {} half of the images: give others'


def calibrate(model: LoadedModel, scenes: SceneList, fit: Sequence[int], test: Sequence[int],
              rates: Sequence[float], iterations: int, progress: Progress = lambda: None,
              rain: str = RENDERED, workers: int = 0) -> dict[str, Any]:
    """
    Fit a temperature on some scenes and measure what it does on others, at the loop's last step.

    :param fit, test: indices of scenes, each the seed of its rain.
    :param rates: mm/hr, 0..300; the temperature is one for all.
    :param iterations: T of the loop.
    :param progress: called after every image and rate.
    :param rain: one of RAINS.
    :param workers: processes that render it, 0 to render between the images.
    :return: {'temperature': to four decimals, 'rates': {rate: {'accuracy', 'ece_before',
        'ece_after'}}}, in %; before is at the temperature that the model's file says.
    :raises ValueError: the model has other classes than the scenes, there is no labelled pixel,
        or, as in ``fit_temperature``, no temperature.
    """
    check_classes('the model', model.network.label_set, scenes)
    drawn = []
    for index, _, logits, truth in _pixels(model, scenes, fit, rates, iterations, rain,
                                            workers):
        if len(truth):
            chosen = torch.randint(len(truth), (SAMPLE,),
                                   generator=torch.Generator().manual_seed(index))
            drawn.append((logits[chosen].cpu(), truth[chosen].cpu()))
        progress()
    if not drawn:
        raise ValueError(_NOTHING.format(scenes.name, 'first'))
    temperature = round(fit_temperature(*map(torch.cat, zip(*drawn, strict=True))), 4)
    scores = {rate: [CalibrationScore(model.device) for _ in range(2)] for rate in rates}
    for _, rate, logits, truth in _pixels(model, scenes, test, rates, iterations, rain,
                                          workers):
        right = logits.argmax(1) == truth
        divisors = model.info.temperature, temperature
        for score, divisor in zip(scores[rate], divisors, strict=True):
            score.add(confidence_of(logits, divisor, dim=1), right)
        progress()
    results = {rate: [score.result() for score in pair] for rate, pair in scores.items()}
    if math.isnan(results[rates[0]][0]['ece']):
        raise ValueError(_NOTHING.format(scenes.name, 'second'))
    return {'temperature': temperature, 'rates': {
        rate_key(rate): {'accuracy': after['accuracy'], 'ece_before': before['ece'],
                         'ece_after': after['ece']}
        for rate, (before, after) in results.items()}}


@torch.no_grad()
def _pixels(model: LoadedModel, scenes: SceneList, indices: Sequence[int],
            rates: Sequence[float], iterations: int, rain: str, workers: int
            ) -> Iterator[tuple[int, float, torch.Tensor, torch.Tensor]]:
    """Yield index, rate, and logits (N, K) and truth (N,) of the labelled pixels."""
    for index, _, ids, views in rainy_scenes(scenes, indices, rates, None, rain, workers):
        truth = truth_of(ids, model.device)
        known = truth < scenes.label_set.num_classes
        for rate, view in zip(rates, views, strict=True):
            logits = model.loop(model.upload(view), iterations)[-1].full_logits[0]
            yield index, rate, logits[:, known].T, truth[known]


def fit_temperature(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """
    Fit a temperature by the mean negative log-likelihood of the truth.

    :param logits: (N, K) fp32.
    :param truth: (N,) class ids.
    :raises ValueError: the best one is none that makes sense, as where labels are no better than
        chance.
    """
    log_temperature = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=60, line_search_fn='strong_wolfe')

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(logits / log_temperature.exp(), truth)
        value.backward()
        return value

    optimizer.step(loss)
    found = float(log_temperature.detach().exp())
    low, high = TEMPERATURES
    if not low < found < high:  # also refuses NaN
        raise ValueError(f'the best temperature is {found:.3g}, which is not within {low} to '
                         f'{high}: the labels are no better than chance, or never wrong; train '
                         'the model, or give other images')
    return found
