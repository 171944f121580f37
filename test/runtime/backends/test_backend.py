# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Backends by name: what is built, of which modules, and that each has all of the protocol."""

import sys

import pytest
import torch

from ubcn_ros.runtime.backends import eager
from ubcn_ros.runtime.backends.backend import BACKENDS, LoadOptions, build_backend
from ubcn_ros.runtime.backends.eager import EagerBackend
from ubcn_ros.runtime.kernels.fused_convolution import FusedConv
from ubcn_ros.runtime.kernels.swap import WithReference

CPU, GPU = torch.device('cpu'), torch.device('cuda', 0)


@pytest.fixture
def prepared(monkeypatch):
    """Options of `prepare`, which is not run: so a GPU's backends are built without one."""
    options = {}
    monkeypatch.setattr(eager, 'prepare', lambda network, device, dtype, **given:
                        options.update(given))
    return options


@pytest.mark.parametrize(('device', 'name'), [(CPU, 'eager'), (GPU, 'graphs')])
def test_auto_follows_the_device(tiny_model, prepared, device, name):
    assert build_backend('auto', LoadOptions(tiny_model, device)).name == name


@pytest.mark.parametrize(('name', 'fused', 'used'), [
    ('eager', True, False), ('eager', False, False), ('graphs', True, True),
    ('graphs', False, False), ('compiled', True, False), ('compiled', False, False)])
def test_graphs_alone_are_fused_and_on_request(tiny_model, prepared, name, fused, used):
    assert build_backend(name, LoadOptions(tiny_model, GPU, fused=fused)).name == name
    assert prepared['fused'] == used


@pytest.mark.parametrize('autotune', [True, False])
@pytest.mark.parametrize('name', ['eager', 'graphs', 'compiled'])
def test_whether_kernels_may_be_timed_is_handed_on(tiny_model, prepared, name, autotune):
    said = []
    build_backend(name, LoadOptions(tiny_model, GPU, autotune=autotune, progress=said.append))
    assert prepared['autotune'] == autotune
    prepared['progress']('a line')
    assert said == ['a line']


@pytest.mark.parametrize('name', BACKENDS)
def test_every_backend_has_what_the_engine_asks_for(tiny_model, tmp_path, monkeypatch, name):
    if name == 'onnxruntime':
        pytest.importorskip('onnx')
        pytest.importorskip('onnxruntime')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    backend = build_backend(name, LoadOptions(tiny_model, CPU, 'fp32'))
    assert (backend.name, backend.device, backend.precision) == (name, CPU, 'fp32')
    assert backend.info.name == 'tiny' and backend.info.config.label_set.name == 'camvid'
    for method in ('upload', 'first', 'next', 'download', 'warm_up'):
        assert callable(getattr(backend, method))


def test_what_a_backend_needs_the_others_do_not(tiny_model, monkeypatch):
    for module in ('onnx', 'onnxruntime', 'triton'):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ('eager', 'graphs', 'compiled'):
        assert build_backend(name, LoadOptions(tiny_model, CPU)).name == name
    with pytest.raises(ValueError, match='pip install onnxruntime'):
        build_backend('onnxruntime', LoadOptions(tiny_model, CPU))


@pytest.mark.gpu
def test_eager_on_a_gpu_has_the_modules_as_trained(tiny_model):
    def swapped(network):
        return sum(isinstance(module, FusedConv | WithReference) for module in network.modules())

    backend = build_backend('eager', LoadOptions(tiny_model, GPU, 'fp16'))
    assert type(backend) is EagerBackend and not swapped(backend.network)
    assert swapped(eager.load_eager(LoadOptions(tiny_model, GPU, 'fp16')).network)
