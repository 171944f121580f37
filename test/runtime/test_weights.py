# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Model files: there and back, and one clear error for everything that is wrong."""

import errno
import json
import os
import pickle
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ubcn_ros.runtime import Engine, ModelFileError, find_model, load_model, save_model
from ubcn_ros.runtime.model_info import PARTS
from ubcn_ros.runtime.weights import is_half, update_metadata


def rewritten(source, target, tensors=lambda t: t, metadata=lambda m: m):
    """Copy a model file with changed tensors or metadata."""
    with safe_open(source, 'pt') as file:
        values = {k: file.get_tensor(k) for k in file.keys()}
        save_file(tensors(values), target, metadata(dict(file.metadata())))
    return target


def test_there_and_back(tiny_model, tmp_path):
    network, info = load_model(tiny_model)
    save_model(tmp_path / 'copy.safetensors', network, {'note': 'copy'})
    again, copied = load_model(tmp_path / 'copy.safetensors')
    assert copied.config == info.config
    assert copied.metadata == {'note': 'copy'}
    assert copied.name == 'copy'
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert not list(tmp_path.glob('*.partial'))


def test_a_file_from_before_a_configuration_had_a_field_takes_its_default(tiny_model, tmp_path):
    def without_threshold(header):
        config = json.loads(header['config'])
        del config['attention']['path_threshold']
        return {**header, 'config': json.dumps(config)}
    old = rewritten(tiny_model, tmp_path / 'old.safetensors', metadata=without_threshold)
    network, info = load_model(old)
    assert info.config.attention.path_threshold == 0
    assert network.attention.config.path_threshold == 0


def test_half_precision_file_is_smaller_and_loads_as_fp32(tiny_model, tmp_path):
    network, _ = load_model(tiny_model)
    path = tmp_path / 'half.safetensors'
    save_model(path, network, {}, half=True)
    assert path.stat().st_size < 0.7 * tiny_model.stat().st_size
    for name, tensor in load_model(path)[0].state_dict().items():
        assert tensor.dtype == network.state_dict()[name].dtype
        assert torch.allclose(tensor, network.state_dict()[name], rtol=1e-3, atol=1e-7)


def test_weights_that_half_precision_does_not_hold_stay_as_they_are(tiny_model, tmp_path):
    network, _ = load_model(tiny_model)
    with torch.no_grad():
        network.derain.head[0][0].weight[0] = 1e6
    save_model(tmp_path / 'half.safetensors', network, {}, half=True)
    again = load_model(tmp_path / 'half.safetensors')[0]
    assert torch.equal(again.derain.head[0][0].weight, network.derain.head[0][0].weight)
    assert is_half(tmp_path / 'half.safetensors')


@pytest.mark.parametrize('half', [False, True])
def test_modules_that_are_tied_are_saved_by_each_of_their_names(tiny_model, tmp_path, half):
    network, _ = load_model(tiny_model)
    network.derain.body[1] = network.derain.body[0]
    save_model(tmp_path / 'tied.safetensors', network.to(memory_format=torch.channels_last), {},
               half)
    again = load_model(tmp_path / 'tied.safetensors')[0]
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=1e-3, atol=1e-7)


def test_sha256_tells_files_apart(tiny_model, tmp_path):
    network, info = load_model(tiny_model)
    save_model(tmp_path / 'a.safetensors', network, {'note': 'other'})
    assert load_model(tmp_path / 'a.safetensors')[1].sha256 != info.sha256


def test_loaded_for_evaluation(tiny_model):
    assert not load_model(tiny_model)[0].training


def test_missing_file_names_the_folders():
    with pytest.raises(ModelFileError, match=(
            r"no model 'nothing': give the path of a \.safetensors file, or the name of a model "
            r'in \S*models.*: .*\bubcn-light-camvid\b')):
        find_model('nothing')


@pytest.mark.parametrize('backend', ['eager', 'onnxruntime'])
@pytest.mark.parametrize('name', [None, 123, b'tiny'])
def test_what_is_no_name_or_path_is_shown(name, backend):
    with pytest.raises(TypeError, match=f'expected a name or a path.*, got {name!r}'):
        Engine.load(name, device='cpu', backend=backend)


@pytest.mark.parametrize('keep', [0, 7, 100, 5000, -3])
def test_truncated(tiny_model, tmp_path, keep):
    path = tmp_path / 'cut.safetensors'
    path.write_bytes(tiny_model.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match='cut.safetensors is damaged'):
        load_model(path)


class Trap:
    """A pickle that would be noticed."""

    def __reduce__(self):
        return exec, ('raise SystemExit("a pickle was loaded")',)


@pytest.mark.parametrize('name', ['trap.safetensors', 'trap.pth'])
def test_pickle_is_not_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelFileError, match='trap'):
        load_model(path)


def test_foreign_file(tmp_path):
    path = tmp_path / 'foreign.safetensors'
    save_file({'weight': torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match='is not a model of this package'):
        load_model(path)


@pytest.mark.parametrize('size', [2 ** 40, 200])
def test_a_file_that_is_not_as_long_as_its_header_says_is_not_read(tiny_model, tmp_path, size):
    path = Path(shutil.copy(tiny_model, tmp_path / 'long.safetensors'))
    with path.open('r+b') as file:
        end = 8 + int.from_bytes(file.read(8), 'little')
        file.truncate(end + size)  # the system keeps no zeros
    with pytest.raises(ModelFileError, match=f'long.safetensors is damaged .*{end + size} bytes'):
        load_model(path)
    path.write_bytes(b'')
    with path.open('wb') as file:
        file.truncate(size)
    with pytest.raises(ModelFileError, match='long.safetensors is damaged'):
        load_model(path)


def test_a_header_that_is_too_long_is_not_read(tmp_path):
    path = tmp_path / 'header.safetensors'
    with path.open('wb') as file:
        file.write((2 ** 40).to_bytes(8, 'little') + b'{}')
        file.truncate(2 ** 40 + 8)
    with pytest.raises(ModelFileError, match='header.safetensors is damaged .*a header of'):
        load_model(path)


def test_a_model_for_which_memory_is_short_is_named(tiny_model, monkeypatch):
    def load(content):
        raise MemoryError
    monkeypatch.setattr('ubcn_ros.runtime.weights.load', load)
    with pytest.raises(ModelFileError, match='tiny.safetensors does not fit into the memory'):
        load_model(tiny_model)


def test_missing_unexpected_and_misshaped_tensors_are_named(tiny_model, tmp_path):
    def change(tensors):
        del tensors['derain.tail.1.bias']
        tensors['derain.extra'] = torch.zeros(1)
        tensors['attention.tail.1.bias'] = torch.zeros(5)
        return tensors
    path = rewritten(tiny_model, tmp_path / 'odd.safetensors', change)
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    for part in ('missing derain.tail.1.bias', 'unexpected derain.extra',
                 'attention.tail.1.bias is (5,), expected (12,)', 'train it anew'):
        assert part in str(caught.value)


def test_values_that_are_not_finite(tiny_model, tmp_path):
    def change(tensors):
        tensors['derain.tail.1.bias'][0] = float('nan')
        return tensors
    path = rewritten(tiny_model, tmp_path / 'nan.safetensors', change)
    with pytest.raises(ModelFileError, match='derain.tail.1.bias holds values'):
        load_model(path)


@pytest.mark.parametrize('dtype', [
    torch.int8, torch.complex64, torch.float8_e4m3fn, torch.bool], ids=str)
def test_values_of_another_kind_are_not_taken_for_weights(tiny_model, tmp_path, dtype):
    def change(tensors):
        return tensors | {'derain.tail.1.bias': tensors['derain.tail.1.bias'].to(dtype)}
    path = rewritten(tiny_model, tmp_path / 'int8.safetensors', change)
    with pytest.raises(ModelFileError, match=f'tail.1.bias holds {dtype}, expected torch.float32'):
        load_model(path)


@pytest.mark.parametrize('metadata', [b'null', b'[' * 100_000])
def test_a_header_that_says_nothing(tmp_path, metadata):
    header = b'{"__metadata__":' + metadata + b'}'
    path = tmp_path / 'empty.safetensors'
    path.write_bytes(len(header).to_bytes(8, 'little') + header)
    with pytest.raises(ModelFileError, match='empty.safetensors is'):
        load_model(path)


@pytest.mark.parametrize('change, unknown', [
    ({'label_set': {'name': 'a', 'classes': ['a'], 'colors': [[float('inf')] * 3]}}, True),
    ({'segmentation': 'no_such_net'}, False), ({'segmentation': 'no.such:Net'}, False),
    ({'label_set': 'moon'}, True), ({'colour': 'red'}, True),
    ({'derain': {'colour': 'red'}}, True),
    ({'segmentation_options': {'colour': 'red'}}, True),
    *((change, False) for change in (
        {'derain': {'channels': 2500}}, {'derain': {'blocks': 10**7}},
        {'derain': {'dilations': [10**30]}}, {'derain': {'unshuffle': True}},
        {'attention': {'channels': 256, 'blocks': 100, 'share_paths': False}},
        {'attention': {'uniform_masks': 'no'}}, {'attention': {'share_paths': 0}},
        {'attention': {'veil_channels': 8, 'veil_below': 1}},
        {'attention': {'veil_channels': 10**5}}, {'veil': {'depth': 10**7}},
        {'segmentation': 'ddrnet23_slim', 'segmentation_options': {'width': 10**4}},
        {'segmentation': 'ddrnet23_slim', 'segmentation_options': {'stride2_head': 'no'}},
        {'segmentation': 'ddrnet23_slim', 'segmentation_options': {
            'context_window': [1, 10**30]}}))])
def test_architecture_that_cannot_be_built(tiny_model, tmp_path, change, unknown):
    def metadata(header):
        return header | {'config': json.dumps(json.loads(header['config']) | change)}
    path = rewritten(tiny_model, tmp_path / 'other.safetensors', metadata=metadata)
    with pytest.raises(ModelFileError, match='cannot be built') as error:
        load_model(path)
    assert ('the version of this package that wrote it' in str(error.value)) == unknown


@pytest.mark.parametrize('key', ['config', 'metadata'])
def test_a_description_that_is_nested_too_deep(tiny_model, tmp_path, key):
    path = rewritten(tiny_model, tmp_path / 'deep.safetensors',
                     metadata=lambda header: header | {key: '[' * 100_000})
    with pytest.raises(ModelFileError, match='deep.safetensors describes a network that cannot'):
        load_model(path)


@pytest.mark.parametrize('metadata, trained', [
    ({}, PARTS),
    ({'note': 'converted', 'stage': 'derain'}, PARTS),
    ({'trained': ['segmentation', 'derain']}, ('derain', 'segmentation')),
    ({'trained': []}, ())])
def test_which_parts_were_trained(tiny_model, tmp_path, metadata, trained):
    network, _ = load_model(tiny_model)
    save_model(tmp_path / 'part.safetensors', network, metadata)
    info = load_model(tmp_path / 'part.safetensors')[1]
    assert info.trained == trained
    assert bool(info.untrained_text()) == (trained != PARTS)


def test_a_part_that_is_needed_and_was_never_trained(tiny_model, tmp_path):
    network, _ = load_model(tiny_model)
    path = tmp_path / 'part.safetensors'
    save_model(path, network, {'stage': 'adapt', 'trained': ['segmentation']})
    load_model(path, ['segmentation'])
    with pytest.raises(ModelFileError, match=r'part.safetensors holds random numbers for derain '
                       r'and attention, which its stage adapt did not train: train derain '
                       r'and attend, too .*allow_partial_model') as error:
        load_model(path, PARTS)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('trained', ['derain', ['rain'], None, {'derain': True}, [['derain']]])
def test_trained_must_be_a_list_of_parts(tiny_model, tmp_path, trained):
    network, _ = load_model(tiny_model)
    save_model(tmp_path / 'part.safetensors', network, {'trained': trained})
    with pytest.raises(ModelFileError, match='expected a list of derain, segmentation, attention'):
        load_model(tmp_path / 'part.safetensors')


@pytest.mark.parametrize('metadata, estimates', [
    ({}, True), ({'trained': ['derain']}, True), ({'trained': ['segmentation']}, False),
    ({'estimates_rain': False}, False), ({'trained': [], 'estimates_rain': True}, True)])
def test_only_a_rain_head_that_was_trained_is_asked(rain_model, tmp_path, metadata, estimates):
    path = tmp_path / 'rain.safetensors'
    save_model(path, load_model(rain_model)[0], metadata)
    network, info = load_model(path)
    assert info.estimates_rain == network.estimates_rain == estimates
    engine = Engine.load(path, device='cpu', allow_partial=True)
    assert engine.estimates_rain == estimates
    assert (engine(np.zeros((64, 80, 3), np.uint8), 1).rain is not None) == estimates


def test_a_network_without_a_veil_estimates_no_rain(tiny_model, tmp_path):
    save_model(tmp_path / 'a.safetensors', load_model(tiny_model)[0], {'estimates_rain': True})
    assert not load_model(tmp_path / 'a.safetensors')[1].estimates_rain


def test_estimates_rain_must_be_true_or_false(rain_model, tmp_path):
    save_model(tmp_path / 'a.safetensors', load_model(rain_model)[0], {'estimates_rain': 'yes'})
    with pytest.raises(ModelFileError, match="estimates_rain is 'yes': expected true or false"):
        load_model(tmp_path / 'a.safetensors')


@pytest.mark.parametrize('metadata, temperature', [
    ({}, 1.0), ({'temperature': 1.75}, 1.75), ({'temperature': 2}, 2)])
def test_the_temperature_that_a_file_says(tiny_model, tmp_path, metadata, temperature):
    save_model(tmp_path / 'a.safetensors', load_model(tiny_model)[0], metadata)
    assert load_model(tmp_path / 'a.safetensors')[1].temperature == temperature


@pytest.mark.parametrize('temperature', [0, -1.5, 'hot', None, True, float('nan'), 10 ** 400])
def test_a_temperature_that_cannot_be_is_refused_when_loading(tiny_model, tmp_path, temperature):
    path = tmp_path / 'odd.safetensors'
    save_model(path, load_model(tiny_model)[0], {'temperature': temperature})
    with pytest.raises(ModelFileError, match='odd.safetensors says that its temperature is .*'
                       'expected 0.01 to 100; calibrate or train it again'):
        Engine.load(path, device='cpu')


def test_the_shipped_model_is_whole():
    info = load_model('ubcn-light-camvid', PARTS)[1]
    assert info.metadata['trained'] == list(PARTS)
    assert info.estimates_rain


def test_found_by_name_on_the_ament_path(tiny_model, tmp_path, monkeypatch):
    folder = tmp_path / 'share' / 'ubcn_ros' / 'models'
    folder.mkdir(parents=True)
    shutil.copy(tiny_model, folder / 'elsewhere.safetensors')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert find_model('elsewhere') == folder / 'elsewhere.safetensors'


def test_a_folder_is_named_and_an_export_says_which_backend(tmp_path):
    with pytest.raises(ModelFileError, match='is a folder: give a .safetensors file'):
        Engine.load(tmp_path, device='cpu')
    (tmp_path / 'export.json').write_text('{}')
    # most commands have no choice of a backend
    with pytest.raises(ModelFileError, match='an export; those of ONNX are run by the backend '
                       "'onnxruntime': choose it in the node, in Engine.load or in ubcn benchmark "
                       'engine, or'):
        Engine.load(tmp_path, device='cpu')


@pytest.mark.parametrize('name', ['~', '~/no.safetensors', '~nobody/no.safetensors', ''])
def test_names_that_only_a_home_would_explain(monkeypatch, name):
    monkeypatch.delenv('HOME', raising=False)
    monkeypatch.setattr('pwd.getpwuid', lambda _: {}['uid not found'])
    with pytest.raises(ModelFileError, match=f"no model '{name}'"):
        find_model(name)


@pytest.mark.parametrize(('name', 'told'), [
    ('a' * 300, 'File name too long'), ('loop/model.safetensors', 'symbolic links'),
    ('a\0b.safetensors', 'null')])
def test_names_that_cannot_be_looked_up_say_why(tmp_path, monkeypatch, name, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'loop').symlink_to('loop')
    for backend in ('eager', 'onnxruntime'):
        with pytest.raises(ModelFileError, match=f'no model .* \\(.*{told}.*\\): give the path'):
            Engine.load(name, 'cpu', backend=backend)


def test_a_folder_that_may_not_be_read_is_no_model(tmp_path, monkeypatch):
    """Root may read all, so that the system call refuses here."""
    stat = os.stat

    def refused(path, *others, **options):
        if 'private' in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, *others, **options)
    monkeypatch.setattr(os, 'stat', refused)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path}/private')
    assert find_model('ubcn-light-camvid').is_file()
    with pytest.raises(ModelFileError, match=r'm.safetensors.* \(Permission denied\): give the'):
        find_model(tmp_path / 'private' / 'm.safetensors')


def tensor_bytes(path):
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], 'little'):]


def test_metadata_changes_and_tensors_stay(tiny_model, tmp_path):
    path, link = tmp_path / 'real.safetensors', tmp_path / 'link.safetensors'
    save_model(path, load_model(tiny_model)[0], {'note': 'é', 'temperature': 3.0}, half=True)
    path.chmod(0o640)
    link.symlink_to(path)
    before, network = tensor_bytes(path), load_model(path)[0]
    info = load_model(link)[1]
    update_metadata(info, {'temperature': 1.25, 'more': {'a': [1, None]}})
    again, found = load_model(path)
    assert found.metadata == {'note': 'é', 'temperature': 1.25, 'more': {'a': [1, None]}}
    assert found.config == info.config and found.sha256 != info.sha256
    assert tensor_bytes(path) == before and link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert sorted(tmp_path.iterdir()) == [link, path]
    # as if it had been saved with it
    save_model(tmp_path / 'b.safetensors', network, found.metadata, half=True)
    assert (tmp_path / 'b.safetensors').read_bytes() == path.read_bytes()


def test_metadata_of_a_file_that_was_changed_meanwhile_is_left_alone(tiny_model, tmp_path):
    path = tmp_path / 'a.safetensors'
    network, _ = load_model(shutil.copy(tiny_model, path))
    info = load_model(path)[1]
    save_model(path, network, {'note': 'newer'})
    with pytest.raises(ModelFileError, match='a.safetensors was changed since it was loaded'):
        update_metadata(info, {'temperature': 2.0})
    assert load_model(path)[1].metadata == {'note': 'newer'}


def test_metadata_that_does_not_fit_on_the_disk_leaves_the_file(tiny_model, tmp_path):
    path = Path(shutil.copy(tiny_model, tmp_path / 'a.safetensors'))
    info, before = load_model(path)[1], resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match='a.safetensors cannot be written .*make room'):
            update_metadata(info, {'temperature': 2.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == tiny_model.read_bytes() and list(tmp_path.iterdir()) == [path]


def test_a_model_that_does_not_fit_on_the_disk_is_named(tiny_model, tmp_path):
    network, _ = load_model(tiny_model)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match='big.safetensors cannot be written .*make room'):
            save_model(tmp_path / 'big.safetensors', network, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
