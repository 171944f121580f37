# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn model`: what a model file says of itself, and its calibration."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.model_calibrate import calibrate
from ubcn_ros.cli.options import json_option
from ubcn_ros.cli.output import save_json, warn
from ubcn_ros.cli.param_types import JSON_OR_DASH

if TYPE_CHECKING:
    from torch import Tensor

    from ubcn_ros.labels import LabelSet
    from ubcn_ros.runtime.model_info import ModelInfo

_NOT_SAID = '-'
_WIDTH = 100
_MEASURED = ('running_mean', 'running_var', 'num_batches_tracked')


@click.group()
def model() -> None:
    """Show what a model file holds, or calibrate its confidence."""


model.add_command(calibrate)


@model.command('info', cls=Command)
@click.argument('model')
@json_option(type=JSON_OR_DASH,
             help='Write everything to this file; - writes to standard output instead of the '
                  'text.')
def model_info(model: str, json_path: Path | None) -> None:
    """
    Show what MODEL is and how it was made.

    MODEL is a name in models/, the path of a .safetensors file, or the folder of an export. Shown
    are its parts and which of them were trained, classes, licence, command, recipe, data,
    versions, what its confidence was calibrated on, and validation figures, if the file has them.
    If its network cannot be built here, as without the module of your own segmentation network, a
    warning says why.
    """
    info, counts, trouble = _read(model)
    warn(trouble)
    save_json(json_path, describe(info, counts), _text(info, counts))


def _read(model: str) -> tuple[ModelInfo, dict[str, int], str]:
    """Return what a model says, parameters by part, and why its network cannot be built."""
    from ubcn_ros.network import build
    from ubcn_ros.runtime.export.folder import is_exported, read_exported
    from ubcn_ros.runtime.model_info import NetworkError
    from ubcn_ros.runtime.weights import load_model, read_model
    if is_exported(model):
        info = read_exported(model).info
        try:
            network = build(info.config)
        except ValueError as error:
            return info, {}, f'{info.path} does not say how many parameters it has, and {error}'
    else:
        try:
            network, info = load_model(model)
        except NetworkError as error:
            tensors, info = read_model(model)
            return info, _counted(tensors), str(error)
    return info, {part: sum(p.numel() for p in module.parameters())
                  for part, module in network.named_children()}, ''


def _counted(tensors: dict[str, Tensor]) -> dict[str, int]:
    """Count the parameters of each part of a file: all tensors but what BatchNorm measured."""
    counts: Counter[str] = Counter()
    for name, tensor in sorted(tensors.items()):
        part, *_, kind = name.split('.')
        if kind not in _MEASURED:
            counts[part] += tensor.numel()
    return dict(counts)


def describe(info: ModelInfo, counts: dict[str, int]) -> dict[str, Any]:
    """
    Return what a model file says of itself, as plain values.

    :param counts: parameters of each part.
    """
    config = info.config.to_dict()
    label_set = config.pop('label_set')
    parts = {part: {'parameters': count, 'trained': trained}
             for part, count, trained in _parts(info, counts)}
    return {'name': info.name, 'path': str(info.path), 'sha256': info.sha256, 'parts': parts,
            'network': config, 'label_set': label_set, 'metadata': info.metadata}


def _parts(info: ModelInfo, counts: dict[str, int]) -> list[tuple[str, int, bool]]:
    trained = {*info.trained, *(['veil'] if 'derain' in info.trained else []),
               *(['rain_head'] if info.estimates_rain else [])}
    return [(part, count, part in trained) for part, count in counts.items()]


def _text(info: ModelInfo, counts: dict[str, int]) -> str:
    from ubcn_ros.text_table import table
    said, config = info.metadata, info.config.to_dict()
    recipe = said.get('recipe')
    rows = [
        ('model', info.name), ('path', str(info.path)), ('sha256', info.sha256),
        ('licence', said.get('license')), ('command', said.get('command')),
        ('recipe', recipe.get('name') if isinstance(recipe, dict) else recipe),
        *((key.replace('_', ' '), said.get(key)) for key in
          ('stage', 'optimizer_steps', 'iterations', 'seed')),
        ('short side', said.get('trained_short_side')),
        ('IDM up to', said.get('trained_derain_side')),
        ('focal length', said.get('trained_focal_length')),
        ('started from', _named(said.get('init'))), ('converted', said.get('converted')),
        *_data_rows(said),
        ('commit', said.get('commit')), ('versions', said.get('versions')),
        ('temperature', said.get('temperature', '1 (not calibrated)')),
        *_calibration_rows(said.get('calibration'))]
    parts = [(part, f'{count:,}', 'yes' if trained else 'no: random numbers')
             for part, count, trained in _parts(info, counts)]
    configuration = [*([('veil', config['veil'])] if config['veil'] else []),
                     ('derain', config['derain']),
                     (config['segmentation'], config['segmentation_options']),
                     ('attention', config['attention'])]
    return '\n\n'.join(filter(None, [
        '\n'.join(f'{key:<16}{_plain(value)}' for key, value in rows),
        table(('part', 'parameters', 'trained'), parts, left=(0, 2)) if parts else '',
        '\n'.join(textwrap.fill(f'{name}: {_plain(values)}', _WIDTH, subsequent_indent='    ')
                  for name, values in configuration),
        _classes(info.config.label_set), _figures(said.get('validation'))]))


def _data_rows(said: dict[str, Any]) -> list[tuple[str, Any]]:
    data = said.get('data')
    return [('data', _named(entry)) for entry in (data if isinstance(data, list) and data else
                                                  [data])]


def _calibration_rows(calibration: Any) -> list[tuple[str, Any]]:
    if not isinstance(calibration, dict):
        return []
    return [('calibrated by', calibration.get('command')),
            ('calibrated on', _named(calibration.get('data'))),
            ('calibration', calibration.get('rates'))]


def _named(entry: Any) -> Any:
    """Put the name first, then counts, then the rest."""
    if not isinstance(entry, dict):
        return entry
    rest = {key: value for key, value in entry.items() if value and key != 'name'}
    counts = rest.pop('counts', None)
    return {_plain(entry.get('name')): '', **(counts if isinstance(counts, dict) else {}), **rest}


def _classes(labels: LabelSet) -> str:
    """Lay out the classes, with a swatch of each one's colour on a terminal."""
    from ubcn_ros.labels import UNLABELED
    from ubcn_ros.text_table import table
    paths = {i: str(path) for path, group in enumerate(labels.paths) for i in group}
    lines = table(('id', 'class', 'colour', 'path'), [
        (str(i), name, '#{:02x}{:02x}{:02x}'.format(*color), paths[i])
        for i, (name, color) in enumerate(zip(labels.classes, labels.colors, strict=True))],
        left=(1, 2)).splitlines()
    swatches = ['  '] * 2 + [click.style('  ', bg=color) for color in labels.colors]
    return '\n'.join([f'{labels.name}: {labels.num_classes} classes, {len(labels.paths)} paths, '
                      f'{UNLABELED} is unlabeled',
                      *(f'{swatch} {line}' for swatch, line in zip(swatches, lines, strict=True))])


def _figures(validation: Any) -> str:
    """Lay out figures such as psnr_150_T2: a row for each rate, a column for each step."""
    from ubcn_ros.text_table import table
    if not isinstance(validation, dict) or not validation:
        return ''
    found = {name: re.fullmatch(r'(.+)_T(\d+)', name) for name in validation}
    steps = sorted({int(match[2]) for match in found.values() if match})
    names = dict.fromkeys(match[1] if match else name for name, match in found.items())
    rows = [(name.replace('_', ' '), _number(validation.get(name)),
             *(_number(validation.get(f'{name}_T{t}')) for t in steps)) for name in names]
    header = ('validation', '', *(f'T = {t}' for t in steps))
    if all(row[1] == _NOT_SAID for row in rows):  # nothing that is not of a step
        header, rows = header[:1] + header[2:], [row[:1] + row[2:] for row in rows]
    return table(header, rows)


def _number(value: Any) -> str:
    return f'{value:.2f}' if isinstance(value, float) else _plain(value)


def _plain(value: Any) -> str:
    """Put any value of the metadata on one line."""
    if value is None or value == '':
        return _NOT_SAID
    if isinstance(value, dict):
        return ', '.join(f'{key} {"" if item == "" else _plain(item)}'.strip()
                         for key, item in value.items()) or _NOT_SAID
    if isinstance(value, list):
        return ' '.join(map(_plain, value)) or _NOT_SAID
    return f'{value:g}' if isinstance(value, float) else ' '.join(str(value).split())
