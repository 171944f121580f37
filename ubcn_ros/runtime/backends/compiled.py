# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The backend 'compiled': stages by torch.compile, whose code is kept for the next start."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ubcn_ros.network import Step
from ubcn_ros.runtime.backends.backend import LoadOptions, Size, WorkingSize
from ubcn_ros.runtime.backends.eager import EagerBackend, load_eager
from ubcn_ros.runtime.backends.graphs import GraphsBackend, Strategy, record_on
from ubcn_ros.runtime.backends.stages import StageFunctions
from ubcn_ros.runtime.cache import cache_folder, digest, private_folder, shown_name, versions
from ubcn_ros.runtime.device import processor
from ubcn_ros.runtime.model_info import ModelInfo

_FOLDER_VARIABLE = 'TORCHINDUCTOR_CACHE_DIR'
_VARIABLES = (_FOLDER_VARIABLE, 'TRITON_CACHE_DIR')


def build(options: LoadOptions) -> GraphsBackend:
    """Build the backend 'compiled'; where compiling fails, it goes on as 'graphs'."""
    # the CPU's fast attention follows the data, which compiled code cannot, and fused kernels
    # are not compiled
    eager = load_eager(options, fast_attention=False, fused=False)
    return compiled_backend(eager, options.progress, compiler(options.autotune))


def compiler(autotune: bool) -> Callable[..., Any]:
    """Return torch.compile; unless ``autotune``, told to time nothing where it knows how."""
    if autotune:
        return torch.compile
    from torch._inductor import config
    if not hasattr(config, 'deterministic'):  # before PyTorch 2.9
        return torch.compile
    return functools.partial(torch.compile, options={'deterministic': True})


def compiled_backend(eager: EagerBackend, progress: Callable[[str], None],
                     compile: Callable[..., Any], **options: int) -> GraphsBackend:
    """
    Return graphs of a network's compiled stages.

    :param eager: holds the prepared network.
    :param progress: called with lines of text while a size is prepared.
    :param compile: torch.compile, or what stands for it.
    :param options: of ``GraphsBackend``.
    """
    record = record_on(eager.device)
    cache = CompileCache(eager.info, eager.device, eager.precision, progress)
    return GraphsBackend(
        eager, [Strategy('compiled', compiled(eager.stages, progress, compile), record,
                         cache.used),
                Strategy('graphs', eager.stages, record)], progress, **options)


def compiled(stages: StageFunctions, progress: Callable[[str], None],
             compile: Callable[..., Any]) -> StageFunctions:
    """
    Return the stages as compiled code, which is made when a size first comes.

    PyTorch compiles a stage for eight sizes at most and calls the module for any further one.

    :param progress: called with a line of text before and after each first call.
    :param compile: torch.compile, or what stands for it.
    """
    named = (('derain', stages.derain), ('segment', stages.segment), ('attend', stages.attend))
    return StageFunctions(*(_Announced(name, compile(stage, dynamic=False), progress)
                            for name, stage in named))


class _Announced:
    """Says when a part is compiled, which is when it gets arguments of a new shape."""

    def __init__(self, name: str, stage: Callable[..., Any],
                 progress: Callable[[str], None]) -> None:
        self._name, self._stage, self._progress = name, stage, progress
        self._known: set[tuple[torch.Size, WorkingSize]] = set()

    def __call__(self, given: torch.Tensor | Step, *rest: Any) -> Any:
        image = given.image if isinstance(given, Step) else given
        working = rest[-1] if rest else None
        if (image.shape, working) in self._known:
            return self._stage(given, *rest)
        n, _, height, width = image.shape
        self._progress(f'compiling {self._name} for {width}x{height}, batch of {n}')
        begun = time.monotonic()
        result = self._stage(given, *rest)
        self._known.add((image.shape, working))
        self._progress(f'compiled {self._name} in {time.monotonic() - begun:.1f} s')
        return result


class CompileCache:
    """
    Folders for compiled code: one per weights, size, precision, processor and versions.

    It is PyTorch's own cache: it holds code that is run when found, as Python's ``__pycache__``
    does. So it lies in the user's cache folder, closed to others, and no model file can name it.
    """

    def __init__(self, info: ModelInfo, device: torch.device, precision: str,
                 progress: Callable[[str], None] = lambda _: None) -> None:
        self._info, self._device, self._precision = info, device, precision
        self._progress = progress

    def folder(self, size: Size, working: WorkingSize = None) -> Path:
        """Return where the code for images of these sizes is kept."""
        key = digest(self._info.sha256, size, working, self._precision, processor(self._device),
                     versions('torch', 'triton'), torch.version.cuda,
                     torch.backends.cudnn.version())
        shown = '-'.join((shown_name(self._info.name), self._precision, 'x'.join(map(str, size))))
        return cache_folder() / 'compiled' / f'{shown}-{key}'

    @contextmanager
    def used(self, size: Size, working: WorkingSize = None) -> Iterator[None]:
        """
        Have PyTorch keep what is compiled inside, and take from there what is kept.

        :raises OSError: the folder cannot be made, or others may change it.
        """
        folder = private_folder(self.folder(size, working))
        kept = any(folder.iterdir())
        self._progress(f'compiled code is {"taken from" if kept else "new and will be kept in"} '
                  f'{folder}')
        # whether the user or PyTorch itself has set these cannot be told: ours go first
        before = {name: os.environ.pop(name, None) for name in _VARIABLES}
        os.environ[_FOLDER_VARIABLE] = str(folder)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
