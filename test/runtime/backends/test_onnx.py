# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a cached export is found by, and which providers ONNX Runtime is asked for."""

from types import SimpleNamespace

import pytest
import torch

from ubcn_ros.runtime.backends.onnx import providers, source_digest

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
