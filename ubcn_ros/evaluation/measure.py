# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a network does to images and labels, in figures.

- PSNR (dB) and SSIM (11x11 gaussian window, sigma 1.5) are of the RGB image rounded to uint8, as
  users get it, against the clean one: the mean over images of each image's figure. Images
  equal to the clean one, whose PSNR is infinite, are counted; the PSNRs of one rate, of input,
  steps and baselines, are over the images in which none is infinite, as of ``common_means``.
- Calibration is of the confidence that the engine gives, at the temperature of the model's file.
- Of an image that has converged, later steps have the figures of the last that was run.
- Milliseconds are the median over images of the time until a step is done, of the network alone
  as it is run here, modules one by one, once it has run before: to compare within one run. `ubcn
  benchmark engine` times the engine.
- IoU (%) of a class is over the pixels of the whole set, unlabeled ones ignored; mIoU is the mean
  over the classes that occur in the ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ubcn_ros.data.rain import drive_parameters
from ubcn_ros.data.scenes import Group, Scene, SceneList
from ubcn_ros.data.validation_rain import RENDERED
from ubcn_ros.evaluation.metrics import common_means
from ubcn_ros.evaluation.rainy_scenes import rainy_scenes
from ubcn_ros.evaluation.scores import CalibrationScore, ImageScore, RainScore
from ubcn_ros.labels import LabelSet, plain_name
from ubcn_ros.network import UBCN, Step
from ubcn_ros.network.step import enlarged
from ubcn_ros.runtime.checks import check_image
from ubcn_ros.runtime.confidence import confidence_of
from ubcn_ros.runtime.convergence import Loop, check_convergence
from ubcn_ros.runtime.device import PRECISIONS, resolve_device, resolve_precision
from ubcn_ros.runtime.model_info import PARTS, ModelInfo
from ubcn_ros.runtime.optimize import prepare
from ubcn_ros.runtime.processing import TRAINED, short_side, working_size
from ubcn_ros.runtime.stopwatch import now
from ubcn_ros.runtime.weights import load_model
from ubcn_ros.training.label_score import LabelScore

Progress = Callable[[], object]


@dataclass(frozen=True)
class LoadedModel:
    """A network that is measured, where and in which precision it runs."""

    network: UBCN
    info: ModelInfo
    device: torch.device
    precision: str
    processing_size: int
    convergence: float

    @classmethod
    def load(cls, model: str | Path, device: str = 'auto', precision: str = 'fp32',
             needs: Sequence[str] = PARTS, processing_size: int = TRAINED,
             convergence: float = 0.0) -> LoadedModel:
        """
        Load a model file, prepared as the engine prepares it.

        :param needs: parts that are used, and so must have been trained.
        :param processing_size, convergence: as of ``Engine.load``.
        :raises ModelFileError: no such file, not one of ours, or a needed part never trained.
        :raises ValueError: device or precision unknown or not to be had here, or ``convergence``
            out of range.
        """
        check_convergence(convergence)
        target = resolve_device(device)
        precision = resolve_precision(precision, target)
        network, info = load_model(model, needs)
        return cls(prepare(network, target, PRECISIONS[precision]), info, target, precision,
                   short_side(processing_size, info), convergence)

    def upload(self, image: np.ndarray) -> torch.Tensor:
        """Turn (H, W, 3) uint8 RGB into (1, 3, H, W) float 0..1 on the device, channels last."""
        check_image(image)
        tensor = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        return tensor.permute(2, 0, 1)[None].float().div(255)

    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """Return labels (H, W) of an uploaded image by the segmentation network alone."""
        logits = self.network.segment(image, self._working_size(image))
        return enlarged(logits, image.shape[-2:])[0].argmax(0)

    def loop(self, image: torch.Tensor, iterations: int,
             after_step: Callable[[], object] = lambda: None) -> list[Step]:
        """
        Run the loop on an uploaded image: as many steps, or fewer where it converges.

        :param after_step: called when a step has been started; on a GPU it may still run.
        """
        size, loop = self._working_size(image), Loop(image, iterations, self.convergence)
        steps = [self.network.first_step(image, size)]
        after_step()
        loop.count(steps[-1])
        while not loop.done:
            loop.keep(steps[-1])
            steps.append(self.network.next_step(steps[-1], size))
            after_step()
            loop.count(steps[-1])
        return steps

    def _working_size(self, image: torch.Tensor) -> tuple[int, int] | None:
        return working_size(*image.shape[-2:], self.processing_size)


def truth_of(ids: np.ndarray, device: torch.device) -> torch.Tensor:
    """Turn (H, W) ids of classes, groups of them and 255 into int64."""
    return torch.from_numpy(np.ascontiguousarray(ids)).to(device).long()


class LoopScore:
    """
    Image and, where there is a ground truth, label figures of every step of the loop.

    ``images`` are those of the images, a score for each step.
    """

    def __init__(self, loaded: LoadedModel, iterations: int, groups: Sequence[Group]) -> None:
        self._loaded = loaded
        self.images = [ImageScore() for _ in range(iterations)]
        self._labels = [LabelScore(loaded.network.label_set, loaded.device, groups)
                        for _ in range(iterations)]
        self._calibrations = [CalibrationScore(loaded.device) for _ in range(iterations)]
        self._taken: list[int] = []  # steps, of each image
        self._ms: list[list[float]] = []  # until each step was done, of each image

    def add(self, image: torch.Tensor, clean: torch.Tensor, truth: torch.Tensor | None
            ) -> list[Step]:
        """Run the loop on an image, (1, 3, H, W) 0..1, and score its steps; truth (H, W) ids."""
        device, ends = self._loaded.device, []
        if not self._ms:
            self._loaded.loop(image, len(self.images))  # the first is slow
        start = now(device)
        steps = self._loaded.loop(image, len(self.images),
                                  lambda: ends.append(1e3 * (now(device) - start)))
        self._taken.append(len(steps))
        left = len(self.images) - len(steps)
        steps += steps[-1:] * left
        self._ms.append(ends + ends[-1:] * left)
        for step, images, labels, calibration in zip(steps, self.images, self._labels,
                                                     self._calibrations, strict=True):
            images.add(step.image, clean)
            if truth is not None:
                logits = step.full_logits[0]
                found, known = logits.argmax(0), truth < len(logits)
                labels.add(found, truth)
                sure = confidence_of(logits, self._loaded.info.temperature)
                calibration.add(sure[known], (found == truth)[known])
        return steps

    def result(self, labelled: bool = True) -> list[dict[str, Any]]:
        """
        Return one entry per step: 't', 'psnr', 'ssim', 'equal'.

        When labelled also 'miou' and 'iou', and what ``CalibrationScore`` results in; where the
        loop may converge also 'iterations', the mean of the steps that were run.
        """
        scores = zip(self.images, self._labels, self._calibrations, strict=True)

        def taken(t: int) -> dict[str, float]:
            if not self._loaded.convergence:
                return {}
            return {'iterations': float(np.minimum(self._taken, t).mean())}

        return [{'t': t, **images.result(), **taken(t),
                 **({**labels.result(), **calibration.result()} if labelled else {})}
                for t, (images, labels, calibration) in enumerate(scores, 1)]

    def latency_ms(self) -> list[float]:
        """Return the median over the images of the time until each step was done."""
        return np.median(self._ms, 0).round(3).tolist()


def rate_key(rate: float) -> str:
    """Return the key of a rain rate in the results: '50', '12.5'."""
    return f'{rate:g}'


@torch.inference_mode()
def measure_scenes(model: LoadedModel, scenes: SceneList, indices: Sequence[int],
                   rates: Sequence[float], iterations: int,
                   segmentations: Mapping[str, LoadedModel] | None = None,
                   baselines: Mapping[str, LoadedModel] | None = None,
                   progress: Progress = lambda: None, size: tuple[int, int] | None = None,
                   rain: str = RENDERED, workers: int = 0) -> dict[str, Any]:
    """
    Measure a model on labelled scenes, dry and in the validation rain.

    Pixels of a group of classes count for the mIoU as of ``LabelScore``; calibration leaves them
    out, as unlabeled ones.

    :param indices: which scenes; each one's index is the seed of its rain.
    :param rates: mm/hr, 0..300.
    :param iterations: T, the steps that are measured.
    :param segmentations: networks whose segmentation alone is measured, on the clean and on the
        rainy images, by name.
    :param baselines: models whose loop is measured on the same images, by name.
    :param progress: called after every image and rate.
    :param size: (width, height) to which scenes are resized before rain falls; None: as they are.
    :param rain: that falls, one of RAINS.
    :param workers: processes that render it, 0 to render between the images.
    :return: {'clean': {segmentation: labels}, 'rates': {rate: {'input': image,
        'segmentation': {segmentation: labels}, 'steps': [image and labels], 'baselines':
        {baseline: steps}, 'psnr_left_out': images that its PSNRs leave out, and of a model that
        estimates the rain, where it is rendered, 'rain': as of ``RainScore``}}, 'latency_ms':
        {rate: [ms until each step]}}; the model's own segmentation network goes by the name 'own'.
    :raises ValueError: a network has other classes than the scenes, or in another order.
    """
    segmentations = {'own': model, **(segmentations or {})}
    loops = {'': model, **(baselines or {})}
    for name, loaded in chain(loops.items(), segmentations.items()):
        check_classes(name or 'the model', loaded.network.label_set, scenes)
    device = model.device

    def label_scores() -> dict[str, LabelScore]:
        return {name: LabelScore(scenes.label_set, device, scenes.groups)
                for name in segmentations}

    dry = label_scores()
    inputs = {rate: ImageScore() for rate in rates}
    alone = {rate: label_scores() for rate in rates}
    looped = {rate: {name: LoopScore(loaded, iterations, scenes.groups)
                     for name, loaded in loops.items()}
              for rate in rates}
    rains = {rate: RainScore() for rate in rates}
    for index, image, ids, views in rainy_scenes(scenes, indices, rates, size, rain, workers):
        clean = model.upload(image)
        truth = truth_of(ids, device)
        for name, loaded in segmentations.items():
            dry[name].add(loaded.segment(clean), truth)
        for rate, view in zip(rates, views, strict=True):
            rainy = model.upload(view)
            inputs[rate].add(rainy, clean)
            for name, loaded in segmentations.items():
                alone[rate][name].add(loaded.segment(rainy), truth)
            steps = [score.add(rainy, clean, truth) for score in looped[rate].values()][0]
            if steps[0].rain is not None and rain == RENDERED:
                rains[rate].add(steps[0].rain, rate, drive_parameters(index, rate).extinction)
            progress()
    return {
        'clean': {name: score.result() for name, score in dry.items()},
        'rates': {rate_key(rate): {
            'segmentation': {name: score.result() for name, score in alone[rate].items()},
            **_image_results(inputs[rate], looped[rate], labelled=True),
            **rains[rate].result(),
        } for rate in rates},
        'latency_ms': {rate_key(rate): looped[rate][''].latency_ms() for rate in rates},
    }


def check_classes(model: str, label_set: LabelSet, scenes: SceneList) -> None:
    """Raise ValueError where the label set of a model has not the scenes' classes."""
    classes, others = label_set.classes, scenes.label_set.classes
    if [*map(plain_name, classes)] != [*map(plain_name, others)]:
        raise ValueError(f'the classes of {model} are {", ".join(classes)}, those of '
                         f'{scenes.name} {", ".join(others)}: choose a model trained on these '
                         'classes')


@torch.inference_mode()
def measure_pairs(model: LoadedModel, pairs: Iterable[Scene], iterations: int,
                  baselines: Mapping[str, LoadedModel], progress: Progress) -> dict[str, Any]:
    """
    Measure a model on pairs of a degraded and a clean image.

    :param pairs: scenes with rain of their own.
    :return: {'input': image, 'steps': [image of every step], 'baselines': {baseline: steps},
        'psnr_left_out': images that the PSNRs leave out,
        'latency_ms': {'': [ms until each step]}}.
    """
    source = ImageScore()
    loops = {name: LoopScore(loaded, iterations, ())
             for name, loaded in {'': model, **baselines}.items()}
    for pair in pairs:
        image, _, _, rainy = pair.read()
        degraded, clean = model.upload(rainy), model.upload(image)
        source.add(degraded, clean)
        for score in loops.values():
            score.add(degraded, clean, None)
        progress()
    return {**_image_results(source, loops, labelled=False),
            'latency_ms': {'': loops[''].latency_ms()}}


def _image_results(source: ImageScore, loops: Mapping[str, LoopScore], labelled: bool
                   ) -> dict[str, Any]:
    """Return the figures of the input and of all loops, their PSNRs over the same images."""
    baselines = {name: loop.result(labelled) for name, loop in loops.items()}
    result = {'input': source.result(), 'steps': baselines.pop(''), 'baselines': baselines}
    entries = [result['input'], *result['steps'], *chain(*baselines.values())]
    scores = [source, *chain(*(loops[name].images for name in ('', *baselines)))]
    means, count = common_means([dict(enumerate(values)) for values in zip(
        *(score.psnr for score in scores), strict=True)])
    for number, entry in enumerate(entries):
        entry['psnr'] = means[number]
    return {**result, 'psnr_left_out': len(source.psnr) - count}
