# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled stages: what their code is kept by and where; and that they are the same stages."""

import functools
import logging
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ubcn_ros.network import Step
from ubcn_ros.runtime import Engine
from ubcn_ros.runtime.backends import compiled as compiled_module
from ubcn_ros.runtime.backends.backend import LoadOptions
from ubcn_ros.runtime.backends.compiled import CompileCache, compiled, compiled_backend, compiler
from ubcn_ros.runtime.backends.eager import load_eager
from ubcn_ros.runtime.backends.stages import StageFunctions

CPU = torch.device('cpu')
INFO = SimpleNamespace(name='tiny', sha256='1' * 64)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return tmp_path


def folder(sha256='1' * 64, precision='fp32', size=(1, 48, 64)):
    return CompileCache(SimpleNamespace(name='tiny', sha256=sha256), CPU, precision).folder(size)


def test_code_is_kept_by_all_that_it_depends_on(home, monkeypatch):
    found = [folder(), folder(sha256='2' * 64), folder(precision='bf16'),
             folder(size=(2, 48, 64)), folder(size=(1, 64, 48))]
    monkeypatch.setattr(compiled_module, 'versions', lambda *_: {'torch': '0'})
    found.append(folder())
    monkeypatch.setattr(compiled_module, 'processor', lambda _: ('another GPU', (9, 0)))
    found.append(folder())
    assert len(set(found)) == len(found)
    assert folder() == found[-1] and found[0].parent == home / 'ubcn_ros' / 'compiled'
    assert found[0].name.startswith('tiny-fp32-1x48x64-')


def test_code_of_a_model_with_a_long_name_is_kept(home):
    with CompileCache(SimpleNamespace(name='n' * 240, sha256='1'), CPU, 'fp32').used((1, 48, 64)):
        pass


@pytest.mark.parametrize('before', [None, '/somewhere/else'])
def test_pytorch_keeps_its_code_there_while_preparing(home, monkeypatch, before):
    for name in ('TORCHINDUCTOR_CACHE_DIR', 'TRITON_CACHE_DIR'):
        monkeypatch.delenv(name, raising=False)
        if before:
            monkeypatch.setenv(name, before)
    said = []
    cache = CompileCache(INFO, CPU, 'fp32', said.append)
    for word in ('new', 'taken'):
        with cache.used((1, 48, 64)):
            kept = os.environ['TORCHINDUCTOR_CACHE_DIR']
            assert kept == str(cache.folder((1, 48, 64))) and os.path.isdir(kept)
            os.environ['TRITON_CACHE_DIR'] = kept + '/triton'  # as PyTorch does
            open(kept + '/code', 'w').close()
        assert word in said[-1] and kept in said[-1]
    assert os.environ.get('TORCHINDUCTOR_CACHE_DIR') == before
    assert os.environ.get('TRITON_CACHE_DIR') == before


def test_parts_are_announced_once_per_size():
    said = []
    stages = compiled(StageFunctions(lambda x: x + 1, lambda x, working: x * 2,
                                     lambda step, working: step.rainy + 5),
                      said.append, compile=lambda stage, dynamic: stage)
    small, large = torch.zeros(1, 3, 32, 40), torch.zeros(2, 3, 40, 48)
    assert stages.derain(small).max() == 1
    assert stages.attend(Step(small, small, small), None).max() == 5
    for _ in range(2):
        for working in (None, (32, 38)):
            stages.segment(large, working)
    assert [line.split(' in ')[0] for line in said] == [
        'compiling derain for 40x32, batch of 1', 'compiled derain',
        'compiling attend for 40x32, batch of 1', 'compiled attend',
        *['compiling segment for 48x40, batch of 2', 'compiled segment'] * 2]


def engine(tiny_model, compile_):
    eager = load_eager(LoadOptions(tiny_model, CPU, 'fp32'), fast_attention=False)
    return Engine(compiled_backend(eager, lambda _: None, compile_, patience=0))


def test_without_autotune_the_compiler_times_nothing():
    assert compiler(True) is torch.compile
    config = pytest.importorskip('torch._inductor.config')
    if not hasattr(config, 'deterministic'):
        pytest.skip('this PyTorch knows no such option')
    options = compiler(False).keywords['options']
    assert options == {'deterministic': True}
    assert set(options) <= set(torch._inductor.list_options())


def test_the_compiled_engine_equals_the_eager_one(tiny_model, tiny_engine, home, caplog):
    # traced by torch.compile, but not turned into machine code, which takes long
    found = engine(tiny_model, functools.partial(torch.compile, backend='eager',
                                                 fullgraph=True))
    image = np.random.default_rng(1).integers(0, 256, (45, 62, 3), np.uint8)
    with caplog.at_level(logging.WARNING, 'ubcn_ros'):
        frame = found(image, 3, confidence=True)
    assert not caplog.records and found.backend == 'compiled'
    expected = tiny_engine(image, 3, confidence=True)
    assert np.abs(frame.derained.astype(int) - expected.derained).max() <= 1
    assert (frame.labels == expected.labels).mean() >= 0.999


def test_without_a_compiler_the_graphs_run(tiny_model, tiny_engine, home, caplog):
    def compile_(stage, dynamic):
        def run(*_):
            raise RuntimeError('Cannot find a working triton installation')
        return run

    found = engine(tiny_model, compile_)
    image = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    frame = found(image, 2, confidence=True)
    assert found.backend == 'graphs' and 'working triton' in caplog.text
    assert (frame.labels == tiny_engine(image, 2, confidence=True).labels).mean() >= 0.999


def test_a_cache_that_others_may_change_is_not_used(tiny_model, home, caplog):
    found = engine(tiny_model, lambda stage, dynamic: stage)
    kept = CompileCache(found.info, CPU, 'fp32').folder((1, 32, 32))
    kept.mkdir(parents=True)
    kept.chmod(0o777)
    found(np.zeros((32, 32, 3), np.uint8), 1)
    assert found.backend == 'graphs' and 'XDG_CACHE_HOME' in caplog.text
