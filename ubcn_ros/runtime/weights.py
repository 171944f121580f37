# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Model files: one safetensors file whose metadata rebuilds the network. No pickle is read."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ubcn_ros.labels import LabelSet
from ubcn_ros.network import UBCN, UBCNConfig, build
from ubcn_ros.runtime.installed import EXPORTED, shared_folders
from ubcn_ros.runtime.model_info import ModelFileError, ModelInfo, NetworkError
from ubcn_ros.whole_files import write_whole

FORMAT = 'ubcn_ros/1'
SUFFIX = '.safetensors'
_MOST_HEADER = 10 ** 8  # bytes: the limit of safetensors


def expanded(path: str | Path) -> Path:
    """Return the path with the home folder for `~`; if there is none it stays, as in a shell."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f'expected a name or a path, as text or a Path, got {path!r}')
    return Path(os.path.expanduser(path))


def find_model(name_or_path: str | Path) -> Path:
    """
    Return the path of a model file, given as such or by the name of a shipped model.

    :raises ModelFileError: there is none; names where it looked and what is there.
    """
    path = expanded(name_or_path)
    if path.suffix == SUFFIX and os.path.isfile(path):
        return path
    folders = shared_folders('models')
    for folder in folders:
        candidate = folder / f'{name_or_path}{SUFFIX}'
        if os.path.isfile(candidate):
            return candidate
    if os.path.isfile(path):
        raise ModelFileError(f'{path} is not a {SUFFIX} file: only those are loaded, because '
                             'other formats can run code')
    if str(name_or_path) and os.path.isdir(path):
        raise ModelFileError(f'{path} is a folder: ' + (
            "an export; those of ONNX are run by the backend 'onnxruntime': choose it in the "
            'node, in Engine.load or in ubcn benchmark engine, or give the '
            f'{SUFFIX} file it was made of'
            if os.path.isfile(path / EXPORTED)
            else f"give a {SUFFIX} file, or to the backend 'onnxruntime' the folder of an export "
            '(`ubcn export --format onnx`)'))
    known = sorted({p.stem for folder in folders for p in folder.glob(f'*{SUFFIX}')})
    raise ModelFileError(
        f'no model {str(name_or_path)!r}{_trouble(path)}: give the path of a {SUFFIX} file' + (
            f', or the name of a model in {", ".join(map(str, folders))}: {", ".join(known)}'
            if known else ''))


def _trouble(path: Path) -> str:
    """Say why a path cannot be looked up; nothing where it is only not there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # the latter: a character that no path has
        return f' ({getattr(error, "strerror", None) or error})'
    return ''


def save_model(path: Path | str, network: UBCN, metadata: dict[str, Any],
               half: bool = False) -> None:
    """
    Write a model file, all or nothing.

    :param network: its ``config`` goes into the file.
    :param metadata: plain values for JSON, as in ``ModelInfo``.
    :param half: keep convolution weights in fp16, for half the size; biases and normalisation,
        a hundredth of the file, stay fp32, as do weights that fp16 does not hold.
    :raises OSError: the file cannot be written.
    """
    # copies, for modules may be tied, and the library takes no memory twice
    tensors = {k: v.detach().to('cpu', copy=True, memory_format=torch.contiguous_format)
               for k, v in network.state_dict().items()}
    if half:
        tensors = {k: halved if v.ndim == 4 and _finite(halved := v.half()) else v
                   for k, v in tensors.items()}
    header = {'format': FORMAT, 'config': json.dumps(network.config.to_dict()),
              'metadata': json.dumps(metadata)}
    _write(Path(path), _with_header(save(tensors, header), header))


def is_half(path: Path) -> bool:
    """Tell whether a model file keeps convolution weights in fp16, as ``save_model`` with half."""
    return any(value.dtype == torch.float16 for value in load(path.read_bytes()).values())


def update_metadata(info: ModelInfo, changes: dict[str, Any],
                    label_set: LabelSet | None = None) -> None:
    """
    Set keys of the metadata of a model's file, all or nothing; its tensors stay byte for byte.

    :param info: of the file as it was loaded.
    :param changes: plain values for JSON.
    :param label_set: of the same classes and paths, to replace its own; None to keep that.
    :raises ModelFileError: the file is another one now.
    :raises OSError: the file cannot be read or written.
    """
    path = info.path
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != info.sha256:
        raise ModelFileError(f'{path} was changed since it was loaded: try again')
    header = json.loads(content[8:_header_end(content)])['__metadata__']
    header['metadata'] = json.dumps({**info.metadata, **changes})
    if label_set is not None:
        header['config'] = json.dumps(replace(info.config, label_set=label_set).to_dict())
    _write(path, _with_header(content, header))


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise OSError(f'{path} cannot be written ({error.strerror or error}): make room, or '
                      'choose another place') from error


def _header_end(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], 'little')


def _with_header(content: bytes, metadata: dict[str, str]) -> bytes:
    """Set the metadata of a safetensors file, its keys in order: the library takes any."""
    end = _header_end(content)
    header = {**json.loads(content[8:end]), '__metadata__': dict(sorted(metadata.items()))}
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + content[end:]


def read_model(name_or_path: str | Path) -> tuple[dict[str, torch.Tensor], ModelInfo]:
    """
    Return a model file's tensors and what it says, whether or not its network can be built.

    :raises ModelFileError: no such file; not safetensors, or damaged; not one of ours; its
        network is described by keys that this version does not know.
    """
    path = find_model(name_or_path)
    content, header, tensors = _read(path)
    try:
        config = UBCNConfig.from_dict(json.loads(header['config']))
        metadata = dict(json.loads(header.get('metadata', '{}')))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ModelFileError(_cannot_be_built(path, error)) from error
    return tensors, ModelInfo(path.stem, path, hashlib.sha256(content).hexdigest(), config,
                              metadata)


def _cannot_be_built(path: Path, error: Exception) -> str:
    unknown = any(isinstance(each, TypeError) for each in (error, error.__cause__))  # of keys
    remedy = 'load it with the version of this package that wrote it' if unknown else 'mend that'
    return f'{path} describes a network that cannot be built ({error}): {remedy}'


def load_model(name_or_path: str | Path, needs: Sequence[str] = ()
               ) -> tuple[UBCN, ModelInfo]:
    """
    Return the network in evaluation mode and what its file says.

    :param needs: those of PARTS that must have been trained.
    :raises ModelFileError: as of ``read_model``; tensors missing, unexpected, of another shape or
        not finite, with their names; a needed part never trained.
    :raises NetworkError: its network cannot be built.
    """
    tensors, info = read_model(name_or_path)
    path = info.path
    try:
        with torch.device('cpu'):  # whatever the caller's default is
            network = build(info.config)
    except (TypeError, ValueError, OverflowError, MemoryError, RuntimeError) as error:
        raise NetworkError(_cannot_be_built(path, error)) from error
    expected = network.state_dict()
    problems = [f'missing {k}' for k in expected.keys() - tensors.keys()]
    problems += [f'unexpected {k}' for k in tensors.keys() - expected.keys()]
    problems += [f'{k} is {tuple(tensors[k].shape)}, expected {tuple(expected[k].shape)}'
                 for k in expected.keys() & tensors.keys()
                 if tensors[k].shape != expected[k].shape]
    problems += [wrong for k in expected.keys() & tensors.keys()
                 if (wrong := _wrong_values(k, tensors[k], expected[k]))]
    if problems:
        shown = '; '.join(sorted(problems)[:8])
        more = f'; and {len(problems) - 8} more' if len(problems) > 8 else ''
        raise ModelFileError(f'{path} does not fit the network that it describes: {shown}{more}: '
                             'use the version of ubcn_ros that wrote it, or train it anew')
    network.load_state_dict(tensors)  # fp16 weights become fp32 again
    info.require_trained(needs)
    network.derain_side, network.estimates_rain = info.derain_side, info.estimates_rain
    return network.eval(), info


def _read(path: Path) -> tuple[bytes, dict[str, str], dict[str, torch.Tensor]]:
    """
    Read a model file: all of it, its metadata, its tensors.

    :raises ModelFileError: as for ``load_model``. Where the header is not that of a model of this
        package, or of a shorter or longer one, nothing else was read.
    """
    try:
        with path.open('rb') as file:
            end = _header_end(file.read(8))
            if end > _MOST_HEADER:
                raise ValueError(f'a header of {end} bytes')
            header = json.loads(file.read(end - 8))
            metadata = header.pop('__metadata__', None) or {}
            if metadata.get('format') != FORMAT:
                raise ModelFileError(f'{path} is not a model of this package (format '
                                     f'{metadata.get("format")!r}, expected {FORMAT!r}): train or '
                                     'export one with the ubcn command')
            end += max((each['data_offsets'][1] for each in header.values()), default=0)
            if end != (size := os.fstat(file.fileno()).st_size):
                raise ValueError(f'{size} bytes, where its header says {end}')
            file.seek(0)
            content = file.read()
        return content, metadata, load(content)
    except ModelFileError:
        raise
    except MemoryError as error:
        raise ModelFileError(f'{path} does not fit into the memory that is free: free some, or '
                             'choose a smaller model') from error
    except (SafetensorError, OSError, ValueError, RecursionError, LookupError, TypeError,
            AttributeError) as error:
        raise ModelFileError(f'{path} is damaged or not a safetensors file ({error}): copy or '
                             'download it again') from error


def _wrong_values(name: str, tensor: torch.Tensor, expected: torch.Tensor) -> str:
    """Say what is wrong with a tensor's values; nothing where it can be taken for another."""
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    if tensor.dtype not in (floats if expected.is_floating_point() else (expected.dtype,)):
        return f'{name} holds {tensor.dtype}, expected {expected.dtype}'
    return '' if _finite(tensor) else f'{name} holds values that are not finite'


def _finite(tensor: torch.Tensor) -> bool:
    """Return whether all values are finite; NaN is the least and the largest of its tensor."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return all(map(math.isfinite, map(float, torch.aminmax(tensor))))
