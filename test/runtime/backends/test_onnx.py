# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a cached export is found by, and which providers ONNX Runtime is asked for."""

from types import SimpleNamespace

import pytest
import torch

from ubcn_ros.runtime.backends import onnx
from ubcn_ros.runtime.backends.onnx import providers, source_digest
from ubcn_ros.runtime.export.folder import Exported
from ubcn_ros.runtime.weights import load_model

CPU, GPU = torch.device('cpu'), torch.device('cuda', 1)


def test_another_source_of_the_network_or_its_export_is_another_export(tmp_path):
    assert len(source_digest()) == 64, "this package's files are found"
    assert source_digest(tmp_path) == ''
    found = []
    for name in ('network/ubcn.py', 'network/segmentation/base.py', 'runtime/export/stages.py'):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        for text in ('a = 1\n', 'a = 2\n'):
            file.write_text(text)
            found.append(source_digest(tmp_path))
    assert len(set(found)) == 6


def runtime(*names):
    return SimpleNamespace(__version__='0', get_available_providers=lambda: list(names))


def test_a_gpu_times_no_algorithms_at_its_start(tmp_path):
    there = runtime('TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider')
    (tensorrt, kept), (cuda, options) = providers(there, GPU, 'fp16', tmp_path)
    assert tensorrt.startswith('Tensorrt') and kept['trt_engine_cache_path'] == str(tmp_path)
    assert cuda.startswith('CUDA') and options['cudnn_conv_algo_search'] == 'HEURISTIC'
    (cuda, _), = providers(there, GPU, 'fp16', tmp_path, autotune=False)
    assert cuda.startswith('CUDA'), 'TensorRT builds its engine by timing'


def test_a_gpu_needs_its_provider(tmp_path):
    assert [name for name, _ in providers(runtime(), CPU, 'fp32', tmp_path)] == [
        'CPUExecutionProvider']
    with pytest.raises(ValueError, match='pip install onnxruntime-gpu'):
        providers(runtime('CPUExecutionProvider'), GPU, 'fp32', tmp_path)


def test_exports_of_one_model_do_not_share_an_engine(tmp_path, monkeypatch, tiny_model):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    folders = []

    class Session:
        def __init__(self, file, options, providers):
            folders.append(providers[0][1]['trt_engine_cache_path'])

        def get_providers(self):
            return ['TensorrtExecutionProvider']
    there = runtime('TensorrtExecutionProvider', 'CUDAExecutionProvider')
    there.SessionOptions, there.InferenceSession = SimpleNamespace, Session
    monkeypatch.setattr(onnx, '_onnxruntime', lambda: there)
    for size in ((480, 640), (720, 1280)):
        files = {stage: tmp_path / f'{stage}.onnx' for stage in onnx.EXPORT_STAGES}
        for file in files.values():
            file.write_text(str(size))
        onnx.OnnxBackend(Exported(load_model(tiny_model)[1], 'onnx', 'fp16', size, None, files),
                         GPU)
    assert len(set(folders)) == 2 and all(str(tmp_path) in folder for folder in folders)
