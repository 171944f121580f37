# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Writing the stages of a network as ONNX or torch.export models.

A stage is one model, so that the number of steps T stays the caller's choice, and so does the size
at which each stage works: what is between them is resized by the caller, as ``export.loop`` says.

PyTorch has two ONNX exporters. This takes the one that traces (`dynamo=False`): it needs no
package besides onnx and takes a tenth of the time of the other, which needs onnxscript. Tracing
would silently fix what depends on a size in Python; `blocks.exporting` is how the network avoids
that, and `export.check` how it is known.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from ubcn_ros.images.malformed import MIN_SIDE
from ubcn_ros.network import UBCN
from ubcn_ros.runtime.cache import files_digest, versions
from ubcn_ros.runtime.device import PRECISIONS
from ubcn_ros.runtime.export.folder import EXPORTED_PRECISIONS, FORMAT, SUFFIXES
from ubcn_ros.runtime.export.loop import loop_sizes, loop_text
from ubcn_ros.runtime.export.stages import EXPORT_STAGES, ExportStage
from ubcn_ros.runtime.installed import EXPORTED
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.optimize import fold_batch_norm

OPSET = 17
"""Of ONNX: old enough for the TensorRT of JetPack 5 and 6."""
# Small, as tracing computes; large, as torch.export computes nothing but tells sizes of 1 from
# others: here, none within the network is 1.
_TRACED = {'onnx': (1, 3, 33, 35), 'torch': (2, 3, 577, 1153)}


def write_stages(network: UBCN, info: ModelInfo, folder: Path, kind: str,
                 precision: str, size: tuple[int, int] | None = None,
                 progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """
    Write a model per stage into an existing folder.

    Images and logits are fp32 at every precision; at fp16 the weights and what lies between are
    in half precision, as in the engine: the image keeps its own.

    :param network: as ``load_model`` returned it, in fp32; left as it is.
    :param info: of its file.
    :param kind: 'onnx' or 'torch'.
    :param precision: 'fp32' or 'fp16'.
    :param size: (height, width) to fix, with a batch of one that is labelled at what the model
        was trained for; None leaves all three dynamic.
    :param progress: called with a line of text before each stage.
    :return: the description, for ``write_description``.
    :raises ValueError: kind or precision unknown, a size below the least, onnx is missing, or
        this PyTorch cannot export so.
    """
    if precision not in EXPORTED_PRECISIONS:
        raise ValueError(f'cannot export in {precision!r}: choose one of '
                         f'{", ".join(EXPORTED_PRECISIONS)}')
    if kind not in SUFFIXES:
        raise ValueError(f'unknown format {kind!r}: choose one of {", ".join(SUFFIXES)}')
    if size is not None and min(size) < MIN_SIDE:
        raise ValueError(f'{size[1]}x{size[0]} is too small: {MIN_SIDE}x{MIN_SIDE} is the least')
    network = copy.deepcopy(network).eval().requires_grad_(False)
    fold_batch_norm(network)
    # contiguous: channels last, torch.export would ask which sizes within the network are 1
    network.to(PRECISIONS[precision], memory_format=torch.contiguous_format)
    sizes = loop_sizes(info, size)
    labelled = sizes['label']
    stages = {}
    for name, of in (('derain', 'derain'), ('segment', 'label'), ('attend', 'attention')):
        stage = EXPORT_STAGES[name](network)
        fixed = sizes[of]
        # torch.export only plays a size through; tracing computes: sizes are fixed afterwards
        image = torch.full((1, 3, *fixed) if fixed and kind == 'torch' else _TRACED[kind], 0.5,
                           device='cpu')
        labelled_image = (1, 3, *labelled) if labelled else image.shape
        logits_shape = _logits_shape(network, labelled_image)
        logits = torch.zeros(logits_shape, device='cpu')
        tensors = _tensors(logits_shape, fixed)
        # tensors of their own: torch.export takes one that is given twice for one input
        values = tuple(logits if n == 'previous_logits' else image.clone() for n in stage.inputs)
        file = folder / f'{name}{SUFFIXES[kind]}'
        progress(f'writing {file.name}')
        with torch.device('cpu'):  # exporters follow the caller's default
            if kind == 'onnx':
                _write_onnx(stage, values, file, tensors)
            else:
                _write_torch(stage, values, file, fixed is None)
        stages[name] = {
            'file': file.name, 'sha256': files_digest([file]),
            'inputs': [tensors[n] for n in stage.inputs],
            'outputs': [tensors[n] for n in stage.outputs]}
    return {
        'format': FORMAT, 'kind': kind, 'model': info.name, 'weights_sha256': info.sha256,
        'precision': precision, 'opset': OPSET if kind == 'onnx' else None,
        'sizes': sizes, 'loop': loop_text(network, sizes),
        'stages': stages,
        'label_set': network.label_set.to_dict(),
        'config': info.config.to_dict(),
        'metadata': {**info.metadata, 'trained': list(info.trained)},
        'versions': versions('torch', *(['onnx'] if kind == 'onnx' else []))}


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write the description beside the models, as UTF-8 JSON."""
    (folder / EXPORTED).write_text(json.dumps(description, indent=2) + '\n', 'utf-8')


def _logits_shape(network: UBCN, image: Sequence[int]) -> torch.Size:
    """Shape of the logits of an image of this shape; nothing is computed."""
    segment = EXPORT_STAGES['segment'](network).to('meta')
    return segment(torch.empty(*image, device='meta')).shape


def _tensors(logits: torch.Size, size: Sequence[int] | None) -> dict[str, dict[str, Any]]:
    """Describe all inputs and outputs, by name; what is dynamic has a name for a length."""
    batch = 1 if size else 'batch'
    image = [1, 3, *size] if size else ['batch', 3, 'height', 'width']
    classes = list(logits) if size else ['batch', logits[1], 'logits_height', 'logits_width']
    shapes = {'image': (image, 'RGB, 0..1'),
              'previous': (image, 'derained, of the step before'),
              'previous_logits': (classes, 'logits of the step before'),
              'lifted': (image, 'RGB, the image without its veil, about 0..1, not clamped'),
              'rain': ([batch, 2], 'log(1 + rate in mm/hr), log(extinction coefficient in 1/m)'),
              'derained': (image, 'RGB, about 0..1, not clamped'),
              'logits': (classes, 'any; their softmax over dimension 1 are probabilities')}
    return {name: {'name': name, 'dtype': 'float32', 'shape': shape, 'values': values}
            for name, (shape, values) in shapes.items()}


def _write_onnx(module: ExportStage, values: tuple[torch.Tensor, ...], file: Path,
                tensors: dict[str, dict[str, Any]]) -> None:
    try:
        import onnx
    except ImportError as error:
        raise ValueError(f'writing ONNX needs the package onnx ({error}): pip install onnx, or '
                         'export on another machine and copy the folder') from error
    names = [*module.inputs, *module.outputs]
    with warnings.catch_warnings(), torch.no_grad():
        # of the exporter's age, and of conditions on sizes, which export.check looks after
        warnings.simplefilter('ignore', DeprecationWarning)
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        # of slices that stay as they are
        warnings.filterwarnings('ignore', 'Constant folding', UserWarning)
        torch.onnx.export(
            module, values, str(file), dynamo=False, opset_version=OPSET,
            input_names=list(module.inputs), output_names=list(module.outputs),
            dynamic_axes={name: {i: str(length) for i, length in enumerate(tensors[name]['shape'])
                                 if i != 1} for name in names})
    model = onnx.load(str(file))
    for value in (*model.graph.input, *model.graph.output):
        for said, length in zip(value.type.tensor_type.shape.dim, tensors[value.name]['shape'],
                                strict=True):
            if isinstance(length, int):
                said.dim_value = length
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def _write_torch(module: ExportStage, values: tuple[torch.Tensor, ...], file: Path,
                 dynamic: bool) -> None:
    sizes, setting = None, nullcontext()
    if dynamic:
        from torch.fx.experimental import _config as shapes
        if not hasattr(shapes, 'backed_size_oblivious'):
            raise ValueError(f'PyTorch {torch.__version__} cannot export sizes that may be 1 '
                             'within the network: install PyTorch 2.7 or newer')
        sizes = (dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC),) * len(values)
        setting = shapes.patch(backed_size_oblivious=True)
    with setting, torch.no_grad():
        program = torch.export.export(module, values, dynamic_shapes=sizes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    file.write_bytes(buffer.getvalue())
