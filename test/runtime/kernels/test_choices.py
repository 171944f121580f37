# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Choices of kernels are those of the first start; a bad file or disk hinders none."""

import copy
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ubcn_ros.network.attention import PathTrunk, SAMConfig
from ubcn_ros.runtime.kernels import choices
from ubcn_ros.runtime.kernels.autotune import Autotuner
from ubcn_ros.runtime.kernels.choices import KernelChoices, choices_of, made_for
from ubcn_ros.runtime.kernels.fused_path_mix import fuse_path_mixes, one_product

KIND = "('RES', 1, torch.float16, 21)"


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'kernels' / 'a-GPU.json'


def test_a_later_start_finds_them(path):
    first = KernelChoices(path)
    assert not len(first) and first.get(KIND) is None
    assert first.keep(KIND, 'Triton') == 'Triton' and first.keep('b', 'reference') == 'reference'
    later = KernelChoices(path)
    assert (len(later), later.get(KIND), later.get('b')) == (2, 'Triton', 'reference')
    assert os.listdir(path.parent) == [path.name], 'nothing else is left'


def test_of_two_processes_the_first_to_choose_decides(path):
    one, other = KernelChoices(path), KernelChoices(path)
    assert one.keep(KIND, 'Triton') == 'Triton'
    assert other.keep(KIND, 'cuDNN') == 'Triton' == other.get(KIND)
    other.keep('b', 'cuDNN')
    one.keep('c', 'Triton')
    assert len(KernelChoices(path)) == 3, 'none takes away what the other kept'


def test_processes_that_choose_at_once_run_the_same(path):
    kinds, starters = [str(number) for number in range(8)], ('Triton', 'cuDNN', 'reference')
    together = threading.Barrier(len(starters))

    def start(name):
        found = KernelChoices(path)
        together.wait(60.0)
        return [found.get(kind) or found.keep(kind, name) for kind in kinds]

    with ThreadPoolExecutor() as pool:
        chosen = list(pool.map(start, starters))
    kept = KernelChoices(path)
    assert chosen == [[kept.get(kind) for kind in kinds]] * len(starters)


def test_a_choice_that_cannot_be_run_is_replaced(path):
    KernelChoices(path).keep(KIND, 'gone')
    assert KernelChoices(path).keep(KIND, 'Triton') == 'Triton'
    assert KernelChoices(path).get(KIND) == 'Triton'


def test_a_later_network_runs_the_same_kernels_to_the_same_bits(path):
    torch.manual_seed(0)
    plain = nn.Sequential(PathTrunk(SAMConfig(32, 1), 3)).eval().requires_grad_(False)
    x, masks = torch.rand(1, 32, 6, 7), torch.rand(1, 3, 6, 7)

    def start(choose):
        network = copy.deepcopy(plain)
        autotuner = Autotuner('cpu', (torch.float32,), choose, KernelChoices(path))
        assert fuse_path_mixes(network, autotuner, {'one product': one_product}) == 1
        result = network[0](x, masks)
        assert set(autotuner.chosen.values()) == {'one product'}
        return result

    first = start(lambda *_: 'one product')
    for choose in (lambda *_: 'reference', None):
        assert torch.equal(start(choose), first)


BAD = {
    'empty': b'', 'cut': json.dumps({KIND: 'Triton'}).encode()[:-9], 'zeros': bytes(200),
    'no text': b'\xff\xfe\x80', 'deep': b'[' * 100_000, 'a number': b'7', 'a list': b'["a"]',
    'no name': json.dumps({KIND: 1}).encode(), 'below a name': json.dumps({'a': {}}).encode(),
}


@pytest.mark.parametrize('data', BAD.values(), ids=BAD)
def test_a_bad_file_is_told_once_and_written_anew(path, data, caplog):
    path.parent.mkdir()
    path.write_bytes(data)
    found = KernelChoices(path)
    assert not len(found)
    found.keep(KIND, 'Triton')
    record, = caplog.records
    assert str(path) in record.getMessage() and '\n' not in record.getMessage()
    caplog.clear()
    assert KernelChoices(path).get(KIND) == 'Triton' and not caplog.records


@pytest.mark.parametrize('bad', ['/proc/ubcn/kernels.json', '/dev/null/kernels.json'])
def test_where_nothing_can_be_written_they_hold_for_the_process(bad, caplog):
    found = KernelChoices(Path(bad))
    for kind in (KIND, 'b'):
        assert found.keep(kind, 'Triton') == 'Triton' == found.get(kind)
    text, = [record.getMessage() for record in caplog.records if 'cannot be kept' in record.msg]
    assert 'set XDG_CACHE_HOME' in text


def test_a_full_disk_hinders_nothing(path, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, 'No space left on device', str(path))
    monkeypatch.setattr(choices, 'write_whole', full)
    found = KernelChoices(path)
    assert found.keep(KIND, 'Triton') == found.get(KIND) == 'Triton'
    assert 'No space left on device' in caplog.text


def test_a_device_has_one_file_for_what_its_kernels_depend_on(tmp_path, monkeypatch):
    cpu = torch.device('cpu')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert choices_of(cpu) is choices_of(cpu), 'engines of a process share them'
    first = choices_of(cpu).path
    assert first.parent == tmp_path / 'ubcn_ros' / 'kernels'
    assert {'device', 'torch', 'triton', 'kernels'} <= set(made_for(cpu))
    monkeypatch.setattr(torch, '__version__', '0.0')
    assert choices_of(cpu).path != first


def test_without_any_folder_they_hold_for_the_process(monkeypatch, caplog):
    def nowhere():
        raise OSError('no home folder')
    monkeypatch.setattr(choices, 'cache_folder', nowhere)
    found = choices_of(torch.device('cpu'))
    assert found.path is None and found.keep(KIND, 'Triton') == 'Triton'
    assert 'no home folder' in caplog.text


def test_a_gpu_is_told_by_its_driver_and_libraries(monkeypatch, tmp_path):
    monkeypatch.setattr('torch.cuda.get_device_name', lambda _: 'a GPU')
    monkeypatch.setattr('torch.cuda.get_device_capability', lambda _: (9, 0))
    monkeypatch.setattr('torch.cuda.get_device_properties', lambda _: type(
        'Properties', (), {'multi_processor_count': 132}))
    monkeypatch.setattr(choices, '_DRIVER', tmp_path / 'version')
    gpu = torch.device('cuda', 0)
    assert made_for(gpu)['driver'] == ''
    (tmp_path / 'version').write_text('NVRM version: 570.86.15\nGCC version: 12\n')
    found = made_for(gpu)
    assert found['driver'] == 'NVRM version: 570.86.15' and found['multiprocessors'] == '132'
    assert {'capability', 'cuda', 'cudnn', 'torch', 'triton', 'kernels'} <= set(found)


@pytest.mark.gpu
@pytest.mark.timeout(600)
@pytest.mark.parametrize('backend', ['graphs', 'eager'])
def test_starts_on_a_gpu_give_the_same_bits(backend):
    from ubcn_ros.benchmark.startup import start_repeatedly
    rows = [*start_repeatedly(3, model='ubcn-light-camvid', device='cuda', precision='fp16',
                              backend=backend, fused=True, autotune=True, threads=None, width=640,
                              height=480, iterations=3, processing_size=-1)]
    assert len({row['outputs'] for row in rows}) == 1
    assert [bool(row['timed']) for row in rows] == [backend == 'graphs', False, False]
    assert np.isfinite([row['first_result'] for row in rows]).all()
