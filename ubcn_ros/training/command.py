# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn train`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument('stage')
@click.option('--config', 'recipe', required=True, type=click.Path(exists=True, dir_okay=False),
              help='Recipe, one of config/train/*.yaml.')
@click.option('--data', required=True, type=click.Path(exists=True, file_okay=False),
              help='Folder of the data set that the recipe names.')
@click.option('--out', default=None, type=click.Path(file_okay=False),
              help='Output folder [default: runs/NAME of the recipe].')
@click.option('--resume', is_flag=True, help="Continue from the stage's checkpoint, if any.")
@click.option('--steps', type=int, help="Train this many steps instead of the recipe's.")
@click.option('--accelerator', default='auto', show_default=True, help='cpu, cuda, ...')
@click.option('--devices', default=1, show_default=True, help='Devices (or CPU processes).')
@click.option('--nodes', default=1, show_default=True, help='Machines.')
@click.option('--precision', default='auto', show_default=True,
              help='auto, 32-true, bf16-mixed or 16-mixed; auto is bf16-mixed, or 32-true on a '
                   'processor that would only emulate it.')
@click.option('--workers', default=1, show_default=True, help='Processes that render samples.')
@click.option('--threads', type=int, help='CPU threads per process [default: all cores].')
@click.option('--half', is_flag=True,
              help='Keep convolution weights in fp16 in the model file: half the size.')
def train(stage: str, recipe: str, data: str, out: str | None, resume: bool, steps: int | None,
          accelerator: str, devices: int, nodes: int, precision: str, workers: int,
          threads: int | None, half: bool) -> None:
    """
    Train one STAGE of a recipe: derain, adapt, attend or joint, or a variant of these.

    Leaves OUT/STAGE.safetensors, a model file, and OUT/STAGE.ckpt to resume from.
    """
    import torch
    from lightning.fabric import Fabric

    from ubcn_ros.data.datasets import open_scenes
    from ubcn_ros.training.config import TrainConfig
    from ubcn_ros.training.trainer import Trainer, shortened

    if threads:
        torch.set_num_threads(threads)
    try:
        config = TrainConfig.load(recipe)
        if steps:
            config = shortened(config, stage, steps)
        kind = config.data.kind
        training = open_scenes(kind, data, 'train', exclude=config.data.exclude)
        validation = open_scenes(kind, data, 'val')
        strategy = 'auto'
        if devices != 1 or nodes != 1:
            # no loss of the joint stage reaches the auxiliary heads: DDP must look for them
            strategy = 'ddp_find_unused_parameters_true' if stage.startswith('joint') else 'ddp'
        fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes,
                        precision=_precision(precision, accelerator), strategy=strategy)
        fabric.launch()
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
        trainer = Trainer(fabric, config, stage, training, validation,
                          Path(out or f'runs/{config.name}'), workers)
        if resume and trainer.resume():
            fabric.print(f'resumed at step {trainer.step}')
        trainer.fit(half)
    except (FloatingPointError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    fabric.print(f'wrote {trainer.model_path}')


def _precision(precision: str, accelerator: str) -> str:
    if precision != 'auto':
        return precision
    import torch

    from ubcn_ros.runtime.engine import cpu_computes_bf16
    on_cpu = accelerator == 'cpu' or (accelerator == 'auto' and not torch.cuda.is_available())
    return '32-true' if on_cpu and not cpu_computes_bf16() else 'bf16-mixed'


if __name__ == '__main__':
    train()
