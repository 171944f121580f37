# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The loop's stages in ONNX Runtime: on a CPU, or on a GPU by TensorRT or CUDA.

Tensors stay where they are: inputs and outputs are bound to PyTorch's memory.
"""

from __future__ import annotations

import functools
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ubcn_ros.runtime.backends.backend import LoadOptions, WorkingSize
from ubcn_ros.runtime.backends.stages import StageFunctions, StagesBackend
from ubcn_ros.runtime.cache import cache_folder, digest, files_digest, shown_name, versions
from ubcn_ros.runtime.export.check import compare, require_equal
from ubcn_ros.runtime.export.folder import (
    EXPORTED_PRECISIONS,
    Exported,
    atomic_folder,
    is_exported,
    read_exported,
)
from ubcn_ros.runtime.export.stages import EXPORT_STAGES
from ubcn_ros.runtime.export.write import write_description, write_stages
from ubcn_ros.runtime.model_info import ModelFileError
from ubcn_ros.runtime.weights import load_model

_SIZES = 48


def export_precision(precision: str, device: torch.device) -> str:
    """
    Turn 'auto' into fp16 on a GPU and fp32 on a CPU.

    :raises ValueError: no export has this precision.
    """
    if precision == 'auto':
        return 'fp16' if device.type == 'cuda' else 'fp32'
    if precision not in EXPORTED_PRECISIONS:
        raise ValueError(f"the onnxruntime backend has no precision {precision!r}: choose 'auto' "
                         f'or one of {", ".join(EXPORTED_PRECISIONS)}')
    return precision


def build(options: LoadOptions) -> OnnxBackend:
    """
    Build the backend 'onnxruntime' of an exported folder, or of a model, exported on first use.

    :param options: as ``model`` a folder that `ubcn export --format onnx` wrote, or a model;
        ``fused`` has no say: ONNX Runtime fuses by itself. Without ``autotune`` TensorRT is left
        out.
    :raises ModelFileError: the model or the folder is missing, damaged or of another kind, or a
        needed part was never trained.
    :raises ValueError: ONNX Runtime or the provider for the device is missing, or there is no
        such precision.
    :raises OSError: there is no folder to keep files in.
    """
    model, device, precision = options.model, options.device, options.precision
    providers(_onnxruntime(), device, '', Path())  # before the seconds of exporting
    if not is_exported(model):
        exported = cached_export(options, export_precision(precision, device))
        return OnnxBackend(exported, device, options.autotune)
    exported = read_exported(model)
    if exported.kind != 'onnx':
        raise ModelFileError(f'{model} holds {exported.kind} models: make an export for this '
                             'backend with `ubcn export --format onnx`')
    if precision not in ('auto', exported.precision):
        raise ValueError(f'{model} was exported in {exported.precision}, not in {precision}: '
                         f"choose 'auto', or export it in {precision}")
    exported.info.require_trained(options.needs)
    backend = OnnxBackend(exported, device, options.autotune)
    backend.half_remedy = 'export it in fp32 (`ubcn export --format onnx --precision fp32`)'
    return backend


def cached_export(options: LoadOptions, precision: str) -> Exported:
    """
    Return the export of a model, checked, in the cache folder; make it when it is not there.

    It is found by the weights, the precision, the versions of what exported it and the source of
    the network: another of any of these is another export.

    :raises ModelFileError: of the model, also where a part that it needs was never trained.
    :raises ValueError: the cache folder cannot be written to, an exporter is missing, or the
        export differs from the network.
    :raises OSError: there is no folder for the cache.
    """
    network, info = load_model(options.model, options.needs)
    progress = options.progress
    key = digest(info.sha256, precision, versions('torch', 'onnx'), _onnxruntime().__version__,
                 source_digest())
    folder = cache_folder() / 'onnx' / f'{shown_name(info.name)}-{precision}-{key}'
    if is_exported(folder):
        try:
            return read_exported(folder)
        except ModelFileError as error:
            progress(f'{error}; exporting again')
    progress(f'exporting {info.name} in {precision} for ONNX Runtime, once; it is kept in '
             f'{folder}')
    if folder.is_dir() and not is_exported(folder):  # what a cleaner of caches has left
        shutil.rmtree(folder, ignore_errors=True)
    try:
        with atomic_folder(folder, keep_newer=True) as made:
            write_description(made, write_stages(network, info, made, 'onnx', precision,
                                                progress=progress))
            progress('comparing with PyTorch')
            backend = OnnxBackend(read_exported(made), torch.device('cpu'))
            require_equal(compare(network, backend.stages), precision)
    except OSError as error:
        raise ValueError(f'cannot keep an export in {folder} ({error}): set XDG_CACHE_HOME to a '
                         'folder that can be written to') from error
    return read_exported(folder)


def source_digest(package: Path = Path(__file__).parents[2]) -> str:
    """Return a digest of the source of the network and its export; '' where it is not in files."""
    return files_digest([*(package / 'network').rglob('*.py'),
                         *(package / 'runtime' / 'export').glob('*.py')])


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f'the onnxruntime backend needs ONNX Runtime ({error}): pip install '
                         'onnxruntime, or onnxruntime-gpu for an NVIDIA GPU') from error
    return onnxruntime


def providers(runtime: Any, device: torch.device, precision: str, cache: Path,
              autotune: bool = True) -> list[tuple[str, dict[str, Any]]]:
    """
    List execution providers for a device, the preferred one first, with their options.

    On a GPU TensorRT, where it is installed, then CUDA. TensorRT builds an engine for the first
    size it sees, by timing, which takes minutes, keeps it in ``cache``, and builds another where
    a later size is outside the range seen so far.

    :param autotune: False leaves TensorRT out.
    :raises ValueError: there is no provider for the device.
    """
    if device.type == 'cpu':
        return [('CPUExecutionProvider', {})]
    available = runtime.get_available_providers()
    if 'CUDAExecutionProvider' not in available:
        raise ValueError(
            f'this ONNX Runtime {runtime.__version__} has no CUDA ({", ".join(available)}): pip '
            "install onnxruntime-gpu (on a Jetson, NVIDIA's wheel for its JetPack) in place of "
            "onnxruntime, or choose device 'cpu'")
    number = device.index or 0
    # by default cuDNN's algorithms are timed at every start
    chosen = [('CUDAExecutionProvider', {'device_id': number,
                                         'cudnn_conv_algo_search': 'HEURISTIC'})]
    if autotune and 'TensorrtExecutionProvider' in available:
        chosen.insert(0, ('TensorrtExecutionProvider', {
            'device_id': number, 'trt_fp16_enable': precision == 'fp16',
            'trt_engine_cache_enable': True, 'trt_engine_cache_path': str(cache),
            'trt_timing_cache_enable': True, 'trt_timing_cache_path': str(cache)}))
    return chosen


class OnnxBackend(StagesBackend):
    """
    The stages of an export.

    Where the size is fixed, images of a batch go one by one.

    :raises ModelFileError: ONNX Runtime cannot read the models.
    :raises ValueError: it is missing, or runs them elsewhere than on ``device``.
    """

    name = 'onnxruntime'

    def __init__(self, exported: Exported, device: torch.device, autotune: bool = True) -> None:
        runtime = _onnxruntime()
        super().__init__(StageFunctions.of_models(
            *(functools.partial(self._run, name) for name in EXPORT_STAGES),
            config=exported.info.config, derain_side=exported.info.derain_side),
            exported.info, device, exported.precision)
        self._fixed = exported.size
        self._fixed_working = exported.working
        # TensorRT finds its engines by the names in a model, and not by its sizes or weights
        key = files_digest(exported.files.values())[:16] if device.type == 'cuda' else ''
        cache = cache_folder() / 'tensorrt' / f'{exported.precision}-{key}'
        wanted = providers(runtime, device, exported.precision, cache, autotune)
        if wanted[0][0].startswith('Tensorrt'):
            cache.mkdir(parents=True, exist_ok=True)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        if device.type == 'cpu':
            # each session has threads of its own: those of a stage that has ended would spin on
            # the cores that the next one needs
            options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        self._sessions = {}
        for stage, file in exported.files.items():
            try:
                session = runtime.InferenceSession(str(file), options, providers=wanted)
            except Exception as error:  # ONNX Runtime's own types have no common public base
                raise ModelFileError(f'ONNX Runtime {runtime.__version__} cannot load {file}: '
                                     f'{error}') from error
            if not {name for name, _ in wanted} & set(session.get_providers()[:1]):
                raise ValueError(
                    f'ONNX Runtime runs {file.name} by {session.get_providers()[0]}, because '
                    f'{wanted[0][0]} did not start: its log says which library is missing')
            self._sessions[stage] = session
        self._shapes: OrderedDict[tuple[Any, ...], list[tuple[int, ...]]] = OrderedDict()

    def upload(self, images: Sequence[np.ndarray], working: WorkingSize = None) -> torch.Tensor:
        """
        Turn N arrays (H, W, 3) uint8 RGB into (N, 3, H, W) fp32 0..1; begins a frame.

        :raises ValueError: the export is of another fixed size.
        """
        size = tuple(images[0].shape[:2])
        if self._fixed is not None and (size, working) != (self._fixed, self._fixed_working):
            raise ValueError(
                f'this export takes images of {_sizes(self._fixed, self._fixed_working)}, got '
                f'{_sizes(size, working)}: set processing_size to -1, or export one without '
                '--height and --width, or of that size')
        return super().upload(images, working)

    def _run(self, stage: str, *inputs: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        if self._fixed is None:
            results = self._bound(stage, *inputs)
        else:
            each = [self._bound(stage, *part) for part in
                    zip(*(tensor.split(1) for tensor in inputs), strict=True)]
            results = [torch.cat(parts) for parts in zip(*each, strict=True)]
        return results if len(results) > 1 else results[0]

    def _bound(self, stage: str, *inputs: torch.Tensor) -> list[torch.Tensor]:
        session = self._sessions[stage]
        where = (self.device.type, self.device.index or 0)
        binding = session.io_binding()
        inputs = [tensor.contiguous() for tensor in inputs]
        for given, tensor in zip(session.get_inputs(), inputs, strict=True):
            assert tensor.dtype == torch.float32, tensor.dtype  # what it reads at the pointer
            binding.bind_input(given.name, *where, np.float32, tuple(tensor.shape),
                               tensor.data_ptr())
        names = [found.name for found in session.get_outputs()]
        key = stage, tuple(inputs[0].shape)
        shapes = self._shapes.pop(key, None)
        if shapes is None:  # the first of its size says how large its results are
            for name in names:
                binding.bind_output(name, 'cpu')
            self._execute(session, binding)
            results = [torch.from_numpy(value.numpy()).to(self.device)
                       for value in binding.get_outputs()]
        else:
            results = [torch.empty(shape, dtype=torch.float32, device=self.device)
                       for shape in shapes]
            for name, result in zip(names, results, strict=True):
                binding.bind_output(name, *where, np.float32, tuple(result.shape),
                                    result.data_ptr())
            self._execute(session, binding)
        self._shapes[key] = [tuple(result.shape) for result in results]
        if len(self._shapes) > _SIZES:
            self._shapes.popitem(last=False)
        return results

    def _execute(self, session: Any, binding: Any) -> None:
        if self.device.type == 'cuda':  # ONNX Runtime has a stream of its own
            torch.cuda.current_stream(self.device).synchronize()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()


def _sizes(size: tuple[int, int], working: WorkingSize) -> str:
    shown = f'{size[1]}x{size[0]}'
    return f'{shown} processed at {working[1]}x{working[0]}' if working else shown
