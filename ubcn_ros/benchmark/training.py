# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples per second of a training, stage by stage, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ubcn_ros.runtime.peak_memory import peak_mib
from ubcn_ros.runtime.stopwatch import now
from ubcn_ros.text_table import table
from ubcn_ros.training.batches import training_batches
from ubcn_ros.training.samples import batch_numbers
from ubcn_ros.training.trainer import Trainer

PARTS = ('sampling', 'forward', 'backward', 'optimizer')
"""Parts of an optimizer step; sampling includes the wait for processes that render."""


def measure(trainer: Trainer, steps: int, warm_up: int, shown: Callable[[int], object]
            ) -> dict[str, Any]:
    """
    Time optimizer steps of a stage; writes nothing.

    The first steps do not count; then so many are timed as they run, and as many more part by
    part, where a GPU is waited for after each part.

    :param trainer: of the stage; its network is worn out afterwards.
    :param shown: called with 1 after every step.
    :return: one row, plain values.
    """
    device, c = trainer.fabric.device, trainer.stage_config
    found: dict[str, float] = {}

    def run() -> None:
        start = time.perf_counter()
        numbers = batch_numbers(0, warm_up + 2 * steps, c.batch)
        batches = training_batches(trainer.fabric, trainer.samples(), numbers, trainer.workers)
        _steps(trainer, batches, warm_up, shown)
        found['ready_s'] = now(device) - start
        start = now(device)
        _steps(trainer, batches, steps, shown)
        found['step_ms'] = 1e3 * (now(device) - start) / steps
        parts = dict.fromkeys(PARTS, 0.0)
        last = now(device)

        def done(part: str) -> None:
            nonlocal last
            before, last = last, now(device)
            parts[part] += last - before
        _steps(trainer, batches, steps, shown, done)
        found.update({f'{part}_ms': 1e3 * seconds / steps for part, seconds in parts.items()})

    trainer.stage.train()
    peak = peak_mib(run, device)
    return {'stage': trainer.stage_name, 'batch': c.batch, 'crop': list(c.samples.crop),
            'on_device': c.samples.on_device, 'workers': trainer.workers, 'device': str(device),
            'gpu': torch.cuda.get_device_name(device) if device.type == 'cuda' else None,
            'precision': trainer.fabric._precision.precision, 'steps': steps,
            'samples_per_s': 1e3 * c.batch / found['step_ms'], **found, 'peak_mib': peak}


def _steps(trainer: Trainer, batches: Any, count: int, shown: Callable[[int], object],
           done: Callable[[str], object] = lambda _part: None) -> None:
    length = trainer.stage_config.optimizer_steps
    for _ in range(count):
        batch = next(batches)
        done('sampling')
        trainer.train_step(batch, done)
        # stages may draw by its number, and schedules end
        trainer.optimizer_step = (trainer.optimizer_step + 1) % length
        shown(1)


def report(rows: Sequence[dict[str, Any]]) -> str:
    """
    Lay out the rows of ``measure`` as a text table.

    Ready is the time until the first steps, which do not count, are done: with all that is
    rendered ahead, or read, and that no stage before needed.
    """
    return table(
        ('stage', 'batch', 'crop', 'samples', 'ready s', 'samples/s', 'ms/step', *PARTS, 'memory'),
        [(row['stage'], f'{row["batch"]}', f'{row["crop"][1]}x{row["crop"][0]}',
          'on device' if row['on_device'] else f'{row["workers"]} workers',
          f'{row["ready_s"]:.1f}', f'{row["samples_per_s"]:.1f}', f'{row["step_ms"]:.1f}',
          *(f'{row[f"{part}_ms"]:.1f}' for part in PARTS),
          f'{row["peak_mib"] / 1024:.1f} GiB') for row in rows], left=(0, 3))
