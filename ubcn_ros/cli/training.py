# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What commands that train share: recipes, and where and how the training computes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.options import data_option, precision_option, several, threads_option
from ubcn_ros.cli.param_types import InputType, Number
from ubcn_ros.runtime.installed import shared_folders

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class RecipeType(InputType):
    """Path of a recipe, or the name of one of config/train."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        path = os.path.expanduser(value)
        if Path(path).suffix or '/' in path:
            return super().convert(value, param, ctx)
        folders = shared_folders('config/train')
        for folder in folders:
            if (folder / f'{value}.yaml').is_file():
                return folder / f'{value}.yaml'
        if os.path.isfile(path):
            return super().convert(value, param, ctx)
        known = sorted({file.stem for folder in folders for file in folder.glob('*.yaml')})
        return self.fail(f'no recipe {value!r}: give the path of a .yaml file, or one of '
                         f'{", ".join(known) or "(none)"}', param, ctx)


class StepsType(click.ParamType):
    """Optimizer steps: a number, or a share in % as a float."""

    name = 'steps'

    def convert(self, value: str, param: Any, ctx: Any) -> int | float:
        if value.endswith('%'):
            return Number(0, 1e6, min_open=True).convert(value[:-1], param, ctx) / 100
        return click.IntRange(1, 1 << 40).convert(value, param, ctx)


recipe_argument = click.argument('recipe', type=RecipeType())
training_data_option = data_option(
    multiple=True, help='Data set: a YAML file, or a folder in a known layout; may be '
                        'repeated. The first one gives the classes.')
init_option = click.option(
    '--init', metavar='MODEL',
    help='Start from this model: a name in models/, or the path of a .safetensors file.')
accelerator_option = click.option(
    '--accelerator', default='auto', show_default=True,
    type=click.Choice(['auto', 'cpu', 'cuda']))
training_precision_option = precision_option(
    type=click.Choice(['auto', '32-true', 'bf16-mixed', '16-mixed', '64-true']),
    help='auto: bf16-mixed; without instructions for it (on a CPU those of x86) 32-true on a CPU, '
         '16-mixed on a GPU.')
workers_option = click.option(
    '--workers', default=1, show_default=True, type=click.IntRange(0, 1024),
    help='Processes that render samples; with on_device, those that render ahead of the training.')
training_options = several(accelerator_option, training_precision_option, workers_option,
                           threads_option())
"""Options of where and how a training in one process computes."""


def launch(accelerator: str, precision: str, devices: int = 1, nodes: int = 1,
           joint: bool = False) -> Fabric:
    """
    Start the processes that train together.

    :param joint: of several, whether the stage joint is among those that they train.
    """
    import torch
    from lightning.fabric import Fabric
    torch.backends.cudnn.benchmark = True  # every step has the same shapes
    strategy = 'auto'
    if devices != 1 or nodes != 1:
        # no loss of the joint stage reaches the auxiliary heads: DDP must look for them
        strategy = 'ddp_find_unused_parameters_true' if joint else 'ddp'
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes,
                    precision=chosen_precision(precision, accelerator), strategy=strategy)
    fabric.launch()
    return fabric


def check_devices(accelerator: str, devices: int = 1) -> None:
    """Raise BadParameter where this machine has no such accelerator, or fewer of them."""
    if accelerator == 'cpu' or (accelerator == 'auto' and devices == 1):
        return
    import torch
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0 and accelerator != 'auto':
        raise click.BadParameter(f'{accelerator!r} is not there: PyTorch sees none; choose '
                                 "'auto' or 'cpu', or install PyTorch with it",
                                 param_hint="'--accelerator'")
    if 0 < count < devices:
        raise click.BadParameter(f'{devices} are asked for, PyTorch sees {count} of '
                                 f'{accelerator!r}', param_hint="'--devices'")


def chosen_precision(precision: str, accelerator: str) -> str:
    """
    Return what auto stands for on this machine; any other precision is itself.

    :raises BadParameter: it needs a GPU, and there is none.
    """
    if precision not in ('auto', '16-mixed'):
        return precision
    import torch

    from ubcn_ros.runtime.device import cpu_computes_bf16
    on_cpu = accelerator == 'cpu' or (accelerator == 'auto' and not torch.cuda.is_available())
    if precision == 'auto':
        if on_cpu:
            return 'bf16-mixed' if cpu_computes_bf16() else '32-true'
        # PyTorch emulates bf16 on GPUs before Ampere
        return ('bf16-mixed' if torch.cuda.is_bf16_supported(including_emulation=False)
                else '16-mixed')
    if on_cpu:  # Fabric would take bf16-mixed instead, and the model would say 16-mixed
        raise click.BadParameter("'16-mixed' needs a GPU: on a CPU choose 'bf16-mixed' or "
                                 "'32-true'", param_hint="'--precision'")
    return precision
