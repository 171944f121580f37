# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How long a training run will take and how much memory it needs, from a few steps."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import torch
from torch.utils.data import default_collate

from ubcn_ros.runtime.peak_memory import peak_mib
from ubcn_ros.runtime.stopwatch import now
from ubcn_ros.text_table import table
from ubcn_ros.training.batches import rendered_share
from ubcn_ros.training.samples import TrainingSamples
from ubcn_ros.training.tensors.samples import TensorSamples
from ubcn_ros.training.trainer import Trainer
from ubcn_ros.training.validation import validate

_WARM_UP_STEPS = 2  # the first ones choose algorithms and fill pools
_MOST_STEPS = 20
_FEWEST_FRAMES, _MOST_FRAMES = 4, 32


@dataclass(frozen=True)
class StageEstimate:
    """
    What a stage will take.

    :param steps: optimizer steps.
    :param batch: samples per optimizer step, over all processes.
    :param crop: height and width of a sample, pixels.
    :param validate_every: optimizer steps between two validations; one more comes at the end.
    :param seconds_per_step: with the rendering of its samples.
    :param optimizer_seconds: of a step without that.
    :param seconds_per_validation: 0 without validation.
    :param peak_mib: of the GPU, or on a CPU of the process without those that render samples.
    :param seconds_ahead: before the first step, of what tensor samples need rendered ahead and
        no stage before had.
    :param first: optimizer step that a checkpoint goes on at: those before are done.
    """

    stage: str
    steps: int
    batch: int
    crop: tuple[int, int]
    validate_every: int
    seconds_per_step: float
    seconds_per_validation: float
    peak_mib: float
    seconds_ahead: float = 0.0
    first: int = 0
    optimizer_seconds: float = 0.0

    @property
    def left(self) -> int:
        """Optimizer steps that are not done."""
        return self.steps - self.first

    @property
    def seconds(self) -> float:
        """Duration of the optimizer steps left and their validations."""
        validations = self.steps // self.validate_every - self.first // self.validate_every + (
            self.first < self.steps and self.steps % self.validate_every != 0)
        return (self.left * self.seconds_per_step
                + validations * self.seconds_per_validation)


def estimate(trainer: Trainer, seconds: float, first: int = 0) -> StageEstimate:
    """
    Time a few optimizer steps, renderings and validation frames of a stage.

    Writes no file and leaves the random state as it was.

    :param trainer: of the stage; its network and optimizers are worn out afterwards, the run
        itself needs others. Every process calls this.
    :param seconds: spent on optimizer steps, and on rendering, beyond a few that it takes anyway.
        Of optimizer steps that take longer each, one counts.
    :param first: as of ``StageEstimate``.
    :raises DataSetError: a file of the scenes cannot be read.
    """
    c, fabric = trainer.stage_config, trainer.fabric
    device = fabric.device
    measured: dict[str, float] = {}

    def run() -> None:
        start = time.perf_counter()
        samples = trainer.samples()
        numbers = range(c.batch // fabric.world_size)
        if isinstance(samples, TensorSamples):
            batch = samples.batch(numbers)  # the first one takes longer
            measured['ahead'] = time.perf_counter() - start
            measured['batch'] = _seconds(lambda: samples.batch(numbers), device)
        else:
            measured['render'], measured['crop'] = _rendering_seconds(
                samples, trainer.workers > 0, seconds)
            batch = fabric.to_device(default_collate([samples[n] for n in numbers]))
        measured['step'] = _step_seconds(trainer, batch, seconds)
        measured['validation'] = _validation_seconds(trainer)

    with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
        peak = peak_mib(run, device)
    return StageEstimate(trainer.stage_name, c.optimizer_steps, c.batch, c.samples.crop,
                         c.validate_every, _combined(trainer, measured, c.optimizer_steps - first),
                         measured['validation'], peak, measured.get('ahead', 0.0), first,
                         measured['step'])


def _combined(trainer: Trainer, measured: dict[str, float], steps: int) -> float:
    """Seconds of each of the optimizer steps left, beside the processes that render samples."""
    if 'batch' in measured:
        return measured['batch'] + measured['step']
    c, world = trainer.stage_config, trainer.fabric.world_size
    steps = max(1, steps)  # none are left of a stage that was killed after its last
    rendered = rendered_share(c.samples, c.batch, steps, trainer.workers, world)
    threads = 1 if trainer.fabric.device.type == 'cuda' else torch.get_num_threads()
    cores = max(1.0, len(os.sched_getaffinity(0)) / world)
    return sum(share * step_seconds(measured['step'], c.batch // world * seconds,
                                    trainer.workers, threads, cores)
               for share, seconds in ((rendered, measured['render']),
                                      (1 - rendered, measured['crop'])))


def step_seconds(optimizer: float, preparation: float, workers: int, threads: int, cores: float
                 ) -> float:
    """
    Return the seconds from one optimizer step to the next, in the long run.

    :param optimizer: seconds of the step itself.
    :param preparation: seconds that one core needs for the samples of a batch.
    :param workers: processes that prepare batches meanwhile; 0: they are prepared in between.
    :param threads: that the step itself keeps busy.
    :param cores: that steps and workers share.
    """
    if workers == 0:
        return optimizer + preparation
    work = optimizer * min(threads, cores) + preparation
    return max(optimizer, preparation / workers, work / cores)


def _rendering_seconds(samples: TrainingSamples, in_worker: bool, seconds: float
                       ) -> tuple[float, float]:
    """Seconds of a sample whose frame is new, and of one whose frame is known."""
    c, cpu = samples.config, torch.device('cpu')
    render, crop = [], []
    with _one_thread() if in_worker else contextlib.nullcontext():
        samples[0]  # imports and opens what all need
        for frame in range(1, _MOST_FRAMES + 1):
            group, place = divmod(frame, c.renders)
            n = group * c.renders * c.reuse + place
            render.append(_seconds(lambda n=n: samples[n], cpu))
            crop.append(_seconds(lambda n=n: samples[n], cpu))
            if frame >= _FEWEST_FRAMES and sum(render) > seconds:
                break
    return sum(render) / len(render), sum(crop) / len(crop)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute as a process that renders samples."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def _step_seconds(trainer: Trainer, batch: dict[str, torch.Tensor], seconds: float) -> float:
    steps = trainer.stage_config.optimizer_steps

    def step() -> None:
        trainer.train_step(batch)
        # stages may draw by its number
        trainer.optimizer_step = (trainer.optimizer_step + 1) % steps

    device = trainer.fabric.device
    trainer.stage.train()
    for _ in range(_WARM_UP_STEPS):
        one = _seconds(step, device)
    # all processes take as many
    count = trainer.fabric.broadcast(round(min(max(seconds / one, 1), _MOST_STEPS)))
    return typical_mean([_seconds(step, device) for _ in range(count)])


def typical_mean(times: Sequence[float]) -> float:
    """
    Average times without the longest, of a moment in which the machine did something else.

    No median: a stage that draws how many steps of the loop it takes has times of several kinds.
    """
    return statistics.fmean(sorted(times)[:-1] or times)


def _validation_seconds(trainer: Trainer) -> float:
    """Seconds of a validation, from those of its second frame; the first is slower."""
    if trainer.validation is None or not trainer.fabric.is_global_zero:
        return 0.0
    images = min(trainer.config.data.validation_images, len(trainer.validation))

    def of(frames: int) -> None:
        few = replace(trainer.validation, scenes=trainer.validation.scenes[:frames])
        validate(trainer.fabric, trainer.stage.module, few, trainer.config.data,
                 lambda *_: None, trainer.side)

    of(1)
    return images * _seconds(lambda: of(1), trainer.fabric.device)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    start = now(device)
    call()
    return now(device) - start


def plan_table(estimates: Sequence[StageEstimate], start: str) -> str:
    """
    Return a table of what would run, with the total.

    Ahead is what is rendered before the first step; the time contains it. Steps, samples and time
    are what is left of a stage that goes on.

    :param estimates: of the stages in their order.
    :param start: what the first stage starts from.
    """
    rows = []
    for e in estimates:
        rows.append([e.stage, f'goes on at step {e.first}' if e.first else start, f'{e.left}',
                     f'{e.batch}', f'{e.crop[1]}x{e.crop[0]}', f'{e.left * e.batch}',
                     f'{e.seconds_per_step:.3g}',
                     f'{e.peak_mib / 1024:.1f} GiB', duration(e.seconds_ahead),
                     duration(e.seconds_ahead + e.seconds)])
        start = f'best of {e.stage}'
    total = [sum(e.left for e in estimates), sum(e.left * e.batch for e in estimates)]
    rows.append(['all', '', f'{total[0]}', '', '', f'{total[1]}', '',
                 f'{max(e.peak_mib for e in estimates) / 1024:.1f} GiB',
                 *(duration(sum(seconds)) for seconds in (
                     [e.seconds_ahead for e in estimates],
                     [e.seconds_ahead + e.seconds for e in estimates]))])
    return table(['stage', 'starts from', 'steps', 'batch', 'crop', 'samples', 's/step', 'memory',
                  'ahead', 'time'], rows, left=(0, 1))


def duration(seconds: float) -> str:
    """Say a duration in its two largest units, such as '1 h 12 min'."""
    if seconds < 59.5:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    if minutes < 60:
        return f'{minutes} min'
    if minutes < 48 * 60:
        return f'{minutes // 60} h {minutes % 60} min'
    hours = round(minutes / 60)
    return f'{hours // 24} d {hours % 24} h'
