# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a stage's batches come from: worker processes, or tensors on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.training.prerender import as_worker, worker_batches
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.samples import Sample, TrainingSamples
from ubcn_ros.training.tensors.samples import TensorSamples

_COUNTED_SAMPLES = 20_000


def make_samples(scenes: SceneList, config: SampleConfig, seed: int, device: torch.device,
                 workers: int) -> TrainingSamples | TensorSamples:
    """
    Make the samples that a configuration asks for.

    :param device: of the training.
    :param workers: processes that render what tensors need ahead.
    :raises DataSetError, ValueError: as of ``TensorSamples``.
    """
    if config.on_device:
        return TensorSamples(scenes, config, seed, device, workers)
    return TrainingSamples(scenes, config, seed)


def training_batches(fabric: Fabric, samples: TrainingSamples | TensorSamples,
                     numbers: Iterable[list[int]], workers: int) -> Iterator[Sample]:
    """
    Yield batches on the device of a training.

    :param numbers: of the samples of every batch.
    :param workers: processes that render samples, where tensors do not.
    :raises ValueError, DataSetError, ChildProcessError: as of ``ahead.worker_batches``.
    """
    if isinstance(samples, TensorSamples):
        return map(samples.batch, numbers)
    loader = DataLoader(samples, batch_sampler=numbers, num_workers=workers,
                        worker_init_fn=as_worker, prefetch_factor=4 if workers else None,
                        pin_memory=fabric.device.type == 'cuda')
    return map(fabric.to_device, worker_batches(loader))


def rendered_share(c: SampleConfig, batch: int, steps: int, workers: int = 1, world: int = 1
                   ) -> float:
    """
    Return the share of samples whose frame has to be rendered first, 0..1: 1 / reuse at best.

    A process knows only the frames that it has rendered itself, and a short run ends before
    many come again.
    """
    numbers = np.arange(min(batch * steps, _COUNTED_SAMPLES))
    step, place = np.divmod(numbers, batch)
    group, again = np.divmod(numbers, c.renders * c.reuse)
    frame, process = group * c.renders + again % c.renders, place // (batch // world)
    met = np.unique((frame * batch + process) * max(1, workers) + step % max(1, workers))
    return len(met) / len(numbers)


def useful_workers(c: SampleConfig, batch: int, workers: int, world: int = 1) -> int:
    """
    Return how many of the workers render most, taken together.

    Batches go round, and with some numbers of workers a frame comes to another one each time, who
    has to render it anew: then fewer are faster.

    :param batch: samples per optimizer step, over all processes.
    :param workers: at most, in each process.
    :param world: processes that train.
    """
    if c.on_device or not workers:
        return workers
    steps = -(-2 * c.renders * c.reuse // batch)
    return min(range(1, workers + 1),
               key=lambda count: rendered_share(c, batch, steps, count, world) / count)
