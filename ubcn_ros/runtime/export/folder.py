# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The folder that an export makes: a model per stage, and ``export.json``, which describes them.

Reading one needs neither an exporter nor a runtime.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ubcn_ros.images.malformed import MIN_SIDE
from ubcn_ros.network import UBCNConfig
from ubcn_ros.runtime.cache import files_digest
from ubcn_ros.runtime.export.stages import EXPORT_STAGES
from ubcn_ros.runtime.installed import EXPORTED
from ubcn_ros.runtime.model_info import ModelFileError, ModelInfo
from ubcn_ros.runtime.weights import expanded
from ubcn_ros.stopping import signals_held
from ubcn_ros.whole_files import errors_named

FORMAT = 'ubcn_ros.export/6'
SUFFIXES = {'onnx': '.onnx', 'torch': '.pt2'}
EXPORTED_PRECISIONS = ('fp32', 'fp16')
_FILES = {EXPORTED, *(stage + suffix for stage in EXPORT_STAGES for suffix in SUFFIXES.values())}


@dataclass(frozen=True)
class Exported:
    """
    An export that was read.

    ``info`` is of the weights it was made of, with the folder as path; ``files`` the model of
    each stage; ``size`` (height, width) in pixels where it was fixed, with a batch of one, or
    None; ``working`` then where images are labelled at a size of its own.
    """

    info: ModelInfo
    kind: str
    precision: str
    size: tuple[int, int] | None
    working: tuple[int, int] | None
    files: dict[str, Path]


def is_exported(path: Path | str) -> bool:
    """Return whether this is a folder with an export's description."""
    return os.path.isfile(expanded(path) / EXPORTED)


def read_exported(folder: Path | str) -> Exported:
    """
    Read the description and compare the models' checksums with it; no model is loaded.

    :raises ModelFileError: the description or a model is missing, damaged or changed.
    """
    folder = expanded(folder)
    path = folder / EXPORTED
    remedy = 'make it again with `ubcn export`'
    try:
        said = json.loads(path.read_text('utf-8'))
        if not isinstance(said, dict) or said.get('format') != FORMAT:
            raise ModelFileError(f'{path} does not describe an export of this version (expected '
                                 f'format {FORMAT!r}): {remedy}')
        if said['precision'] not in EXPORTED_PRECISIONS:
            raise ValueError(f'its precision is {said["precision"]!r}: expected one of '
                             f'{", ".join(EXPORTED_PRECISIONS)}')
        image, label = (_size(said['sizes'], name) for name in ('image', 'label'))
        # where the size is fixed no camera's focal length can ask for another
        metadata = said['metadata'] | ({'trained_focal_length': None} if image else {})
        exported = Exported(
            ModelInfo(said['model'], folder, said['weights_sha256'],
                      UBCNConfig.from_dict(said['config']), metadata),
            said['kind'], said['precision'],
            image, label if label != image else None,
            # the names are ours: a description cannot point anywhere else
            {stage: folder / f'{stage}{SUFFIXES[said["kind"]]}' for stage in EXPORT_STAGES})
        expected = {stage: said['stages'][stage]['sha256'] for stage in EXPORT_STAGES}
    except ModelFileError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError,
            RecursionError) as error:
        raise ModelFileError(f'{path} cannot be read ({type(error).__name__}: {error}): {remedy}'
                             ) from error
    for stage, file in exported.files.items():
        if not os.path.isfile(file):
            raise ModelFileError(f'{file} is missing: {remedy}')
        if files_digest([file]) != expected[stage]:
            raise ModelFileError(f'{file} is not the file that {path} describes: {remedy}')
    return exported


def _size(sizes: dict[str, object], name: str) -> tuple[int, int] | None:
    """Return height and width in pixels, None where they are not fixed; raise ValueError."""
    size = sizes[name]
    if size is None or (isinstance(size, list) and len(size) == 2 and all(
            type(side) is int and side >= MIN_SIDE for side in size)):
        return size and tuple(size)
    raise ValueError(f'its {name} size is {size!r}: expected null, or height and width from '
                     f'{MIN_SIDE} up')


@contextlib.contextmanager
def atomic_folder(folder: Path, keep_newer: bool = False) -> Iterator[Path]:
    """
    Give a new folder to write to, which takes the place of ``folder`` when all went well.

    It is in a temporary folder beside that. An export that was there is replaced, and is there
    until the new one is; a link stays one. Where another process made one in the meantime, either
    stays, whole.

    :param keep_newer: let one that was made in the meantime stay: it is as good.
    :raises ValueError: something that is not an export is there.
    :raises OSError: nothing can be written there.
    """
    check_replaceable(folder)
    real = Path(os.path.realpath(expanded(folder)))
    before = _inode(real)
    with errors_named(folder):
        real.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f'.{real.name}.', dir=real.parent))
    try:
        made = scratch / 'new' / real.name
        made.mkdir(parents=True)
        with errors_named(folder, only_nameless=True):
            yield made
        if not (keep_newer and is_exported(real) and _inode(real) != before):
            check_replaceable(folder)  # minutes later
            with errors_named(folder), signals_held():
                _replace(real, made, scratch / 'before')
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Raise ValueError where something is in the way that is not an export, and no part of one."""
    folder = expanded(folder)
    if os.path.ismount(os.path.realpath(folder)):
        raise ValueError(f'{folder} is a mount point, which cannot be replaced: choose a folder '
                         'inside it')
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_exported(folder):
        raise ValueError(f'{folder} is there and is not an export: choose another folder, or '
                         'remove it')
    others = sorted({path.name for path in folder.iterdir()} - _FILES)
    if others:
        raise ValueError(f'{folder} holds {others[0]!r} beside the export'
                         f'{f", and {len(others) - 1} more" if others[1:] else ""}: move it '
                         'elsewhere, or choose another folder')


def _inode(folder: Path) -> int | None:
    return folder.stat().st_ino if folder.exists() else None


def _replace(folder: Path, made: Path, old: Path) -> None:
    """Move what is there to ``old``, if anything, and ``made`` into its place, or undo it."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(folder, old)
    try:
        os.replace(made, folder)
    except OSError:
        if not is_exported(folder):  # else another process was quicker
            with contextlib.suppress(OSError):
                os.replace(old, folder)
            raise
