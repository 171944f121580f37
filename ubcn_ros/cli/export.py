# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn export`: a model for ONNX Runtime or torch.export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import model_option, precision_option
from ubcn_ros.cli.output import saving, say, warn
from ubcn_ros.cli.param_types import OUTPUT_FOLDER
from ubcn_ros.images.malformed import MIN_SIDE

if TYPE_CHECKING:
    from ubcn_ros.runtime.export.check import Difference


@click.command(cls=Command)
@click.option('--format', 'kind', required=True, type=click.Choice(['onnx', 'torch']),
              help='onnx: derain.onnx, segment.onnx and attend.onnx; torch: the same as .pt2.')
@model_option()
@click.option('--out', type=OUTPUT_FOLDER,
              help='Output folder  [default: out/export/MODEL-FORMAT-PRECISION, of a fixed size '
                   'with -WIDTHxHEIGHT]; an earlier export is replaced, unless the folder holds '
                   'anything else.')
@precision_option(default='fp32', type=click.Choice(['fp32', 'fp16']),
                  help='Precision of weights and computation; images and logits stay fp32.')
@click.option('--height', type=click.IntRange(MIN_SIDE, 1 << 14),
              help='Fix the height in pixels, together with --width; the batch size is then 1.')
@click.option('--width', type=click.IntRange(MIN_SIDE, 1 << 14), help='Fix the width in '
                                                                      'pixels, together with '
                                                                      '--height.')
def export(kind: str, model: str, out: Path | None, precision: str, height: int | None,
           width: int | None) -> None:
    """
    Export each stage of the loop as a model, and check it.

    derain turns image into derained; segment turns derained into logits; attend turns image,
    previous (the derained image before) and previous_logits into derained. Run derain and segment
    once, then attend and segment T - 1 times: neither T nor the processing size is part of the
    models. To get the engine's answer, images are resized before segment and attend; export.json
    says to which sizes, how, and what else a program of your own has to do. With a network that
    lifts the veil of rain first, derain also gives rain: log(1 + rate in mm/hr) and log(extinction
    in 1/m) of each image, and, where attend takes it instead of image, lifted. Images are
    N x 3 x H x W, RGB, 0 to 1, fp32. Batch, height and width (both 32 or more) are dynamic unless
    fixed; if fixed, the sizes are those at which the engine processes such an image, which may be
    smaller for segment and attend than for derain.

    \b
    OUT/derain.onnx, OUT/segment.onnx, OUT/attend.onnx  (or .pt2)
    OUT/export.json  loop, weights, labels, inputs, outputs, versions, check

    Before OUT is written, the models are run on the CPU, at several sizes and for three steps,
    by ONNX Runtime (.onnx) or torch.export (.pt2), and compared with PyTorch in fp32; the table
    shows the differences. If one is too large, nothing is written and the exit code is 1.

    The engine and the node run an ONNX export with backend 'onnxruntime' and the folder as
    model. A .pt2 file is for your own programs: torch.export.load may unpickle what it reads, so
    nothing here loads one, except the check the file that it has just written.

    On a Jetson, or another NVIDIA GPU with TensorRT, export with --precision fp16, and with the
    camera's --height and --width if they never change. The backend then takes TensorRT if it is
    installed, else CUDA. TensorRT builds its engines at the first frame of a size, which takes
    minutes, and keeps them below ~/.cache/ubcn_ros/tensorrt (or XDG_CACHE_HOME); let the node
    warm up with the camera's size (warm_up_width, warm_up_height). Engines belong to one GPU and
    one version of TensorRT: build them on the machine that runs them.
    """
    if (height is None) != (width is None):
        raise click.UsageError('give --height and --width together, or neither')
    import torch

    from ubcn_ros.runtime import load_model
    from ubcn_ros.runtime.cache import versions
    from ubcn_ros.runtime.export.check import (
        CHECKED_SIZES,
        compare,
        exported_programs,
        require_equal,
    )
    from ubcn_ros.runtime.export.folder import atomic_folder, check_replaceable, read_exported
    from ubcn_ros.runtime.export.write import write_description, write_stages
    network, info = load_model(model)
    warn(info.untrained_text())
    fixed = '' if height is None else f'-{width}x{height}'
    folder = out or Path('out') / 'export' / f'{info.name}-{kind}-{precision}{fixed}'
    check_replaceable(folder)
    size = None if height is None else (height, width)
    rows: list[Difference] = []
    with saving(rows, lambda: click.echo(_table(rows))), atomic_folder(folder) as made:
        said = write_stages(network, info, made, kind, precision, size, say)
        write_description(made, said)
        say('comparing with PyTorch')
        exported = read_exported(made)
        if kind == 'onnx':
            from ubcn_ros.runtime.backends.onnx import OnnxBackend
            stages = OnnxBackend(exported, torch.device('cpu')).stages
        else:
            stages = exported_programs(made, network)
        rows += compare(network, stages, [(1, *size)] if size else CHECKED_SIZES,
                        working=exported.working)
        require_equal(rows, precision)
        said['check'] = {
            'by': versions('onnxruntime' if kind == 'onnx' else 'torch'), 'device': 'cpu',
            'rows': [asdict(row) for row in rows]}
        write_description(made, said)
    worst = max(row.derained for row in rows)
    click.echo(f'largest difference of the image {255 * worst:.3g}/255, of the logits '
               f'{max(row.logits for row in rows):.2g} of the largest\nwrote {folder}')


def _table(rows: list[Difference]) -> str:
    from ubcn_ros.text_table import table
    return table(
        ('batch', 'size', 'T', 'image max/255', 'image mean/255', 'logits', 'rain',
         'labels equal %'),
        [(str(row.batch), f'{row.width}x{row.height}', str(row.iterations),
          f'{255 * row.derained:.2e}', f'{255 * row.derained_mean:.2e}', f'{row.logits:.1e}',
          f'{row.rain:.1e}', f'{100 * row.labels:.3f}') for row in rows], left=())
