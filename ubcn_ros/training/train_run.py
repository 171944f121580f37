# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Train the stages of a run one after the other, each from what the last left, or time them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import yaml
from lightning.fabric import Fabric

from ubcn_ros.images.files import write_image
from ubcn_ros.network.step import DERAIN_TRAINED, derain_side
from ubcn_ros.runtime.processing import NATIVE
from ubcn_ros.runtime.weights import is_half, load_model, save_model, update_metadata
from ubcn_ros.training.checkpoint import CHECKPOINT
from ubcn_ros.training.estimate import StageEstimate, estimate
from ubcn_ros.training.pictures import samples_sheet
from ubcn_ros.training.record import decisive_config, model_origin, model_record
from ubcn_ros.training.run import Run
from ubcn_ros.training.run_folder import ARGUMENTS
from ubcn_ros.training.stages import STAGE_CLASSES
from ubcn_ros.training.starting_network import (
    Start,
    starting_network,
    unestimated_rain,
    untrained_warning,
)
from ubcn_ros.training.trainer import BEST, Trainer
from ubcn_ros.whole_files import write_whole


def train(run: Run, fabric: Fabric, stages: Sequence[str], workers: int) -> None:
    """
    Train stages one after the other, each as far as it is not done, and write the result.

    :param stages: as of ``plan``.
    :param workers: processes that render samples.
    """
    # what cannot be started is told before anything is written
    first = run.start(stages[0]) if stages else None
    for line in run.used.left_out:
        fabric.print(line)
    if first is not None:
        terms = run.origin(stages[-1], stages)['license']
        fabric.print(f'licence of the result: {terms or "none is stated"}'
                     f'{untrained_warning(first, stages)}'
                     f'{unestimated_rain(first, run.config, stages)}')
    if fabric.is_global_zero and stages:
        _write_arguments(run)
        begun = [(run.files.folder(stage) / CHECKPOINT).is_file() for stage in stages]
        if not all(begun) or not (run.out / 'samples.jpg').exists():
            scenes = {stage: run.used.scenes(stage)[0] for stage in run.config.stages
                      if stage in stages or run.files.finished(stage)}
            write_image(run.out / 'samples.jpg',
                        samples_sheet(scenes, run.config, fabric.device, workers))
    for stage in stages:
        start, first = first or run.start(stage), None
        fabric.print(f'{stage} starts from {start.text}; {_length_text(run, stage)}\n'
                     f'{start.details}'.rstrip())
        trainer = make_trainer(run, fabric, stage, start, workers)
        if trainer.resume():
            fabric.print(f'{stage} goes on at optimizer step {trainer.optimizer_step}')
        else:
            trainer.discard()  # what a run left that was killed before its first checkpoint
        trainer.fit()
    if fabric.is_global_zero:
        _write_result(run, fabric, stages)
    fabric.barrier()


def make_trainer(run: Run, fabric: Fabric, stage: str, start: Start, workers: int) -> Trainer:
    """Make the trainer of a stage."""
    title = f'{stage} ({[*run.config.stages].index(stage) + 1} of {len(run.config.stages)})'
    origin = run.origin(stage, [stage])
    # as its file will have it
    start.network.derain_side = derain_side(origin['trained_derain_side'] or DERAIN_TRAINED)

    def record(optimizer_steps: int, validation: dict[str, float]) -> dict[str, Any]:
        return model_record(
            optimizer_steps, validation, command=run.command, config=run.config,
            stage=stage, trained={*start.trained, *STAGE_CLASSES[stage].trained},
            precision=run.precision, estimates_rain=start.network.estimates_rain, **origin)

    return Trainer(fabric, run.config, stage, start.network, *run.used.scenes(stage),
                   run.files.folder(stage), workers, log=run.files.log(stage),
                   results=run.files.results,
                   settings=run.settings(stage), record=record, title=title,
                   side=origin['trained_short_side'] or NATIVE)


def estimates(run: Run, fabric: Fabric, stages: Sequence[str], workers: int,
              seconds: float = 4.0, overwrite: bool = False) -> Iterator[StageEstimate]:
    """
    Time a few steps of each stage by ``estimate.estimate``, which writes nothing.

    :param overwrite: as of ``plan``.
    """
    starts = [starting_network(
        run.config, run.label_set, stage,
        # what is trained until then is not there yet, or not any more
        None if run.files.before(stage) in stages else run.files.best_before(stage),
        run.initial) for stage in stages]
    for stage, start in zip(stages, starts, strict=True):
        yield estimate(make_trainer(run, fabric, stage, start, workers), seconds,
                       0 if overwrite else run.steps_done(stage))


def _length_text(run: Run, stage: str) -> str:
    length, images = run.config.stages[stage], len(run.used.scenes(stage)[0])
    epochs = length.optimizer_steps * length.batch / images
    return f'{length.optimizer_steps} optimizer steps, {epochs:.3g} epochs of {images} images'


def _write_arguments(run: Run) -> None:
    """Write args.yaml: what was asked for, and of what."""
    records = run.used.records([*run.fingerprints.values()])
    said = {'command': run.command, 'options': run.options,
            'recipe': run.config.to_dict(),
            'data': [{**record, 'path': str(found.root)} for record, found in
                     zip(records, run.data.sets, strict=True)],
            'init': run.initial and {'path': str(run.initial[1].path),
                                     'sha256': run.initial[1].sha256}}
    text = yaml.safe_dump(json.loads(json.dumps(said)), sort_keys=False, allow_unicode=True)
    write_whole(run.out / ARGUMENTS, text.encode())


def _write_result(run: Run, fabric: Fabric, trained: Sequence[str]) -> None:
    """
    Write the best of the last stage, unless an earlier run has, and say so or why not.

    Of an earlier run's, what it says of the data is written anew where they say otherwise now.
    """
    last, files = run.files.last, run.files
    if stale := run.stale():
        fabric.print(f'{stale} was trained from other weights than are there now: train it '
                     f'again with --overwrite --stage {stale}; until then '
                     f'{files.result.name}, where it is there, is that of before')
        return
    if not files.finished(last):
        return
    new = last in trained or not files.result.is_file()
    network, info = load_model(files.folder(last) / BEST if new else files.result)
    origin = json.loads(json.dumps(run.origin(last)))
    named = replace(info.config, label_set=run.label_set)
    if decisive_config(named) != decisive_config(info.config):  # the classes of other data
        named = info.config
    if new:
        network.config = named
        save_model(files.result, network, {**info.metadata, **origin}, run.half)
        best = (f'best of {last} by {STAGE_CLASSES[last].quality_text}'
                if run.used.scenes(last)[1] else f'last of {last}, without validation')
        fabric.print(f'wrote {files.result}: the {best}')
    elif (named, origin) != (info.config, model_origin(info)):
        update_metadata(info, origin, named.label_set)
        fabric.print(f'wrote {files.result}: the same weights, with the licence, names and '
                     'colours that the data have now')
    if not new and is_half(files.result) != run.half:
        fabric.print(f'{files.result} was written {"without" if run.half else "with"} --half '
                     'and stays so: remove it, and this command with --resume writes it again')
