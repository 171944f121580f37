# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation networks by name: a file can name a network, and nothing else."""

import json
import sys

import pytest
import torch

from ubcn_ros.network import build_segmentation
from ubcn_ros.network.segmentation.base import SegmentationNetwork
from ubcn_ros.runtime import ModelFileError, load_model, save_model

OWN = """
import torch
from ubcn_ros.network.segmentation.base import SegmentationNetwork
from ubcn_ros.network.segmentation.base import SegmentationNetwork as Imported

class Net(SegmentationNetwork):
    feature_channels = 3

    def __init__(self, num_classes, width=1, name="x"):
        super().__init__()
        self.body = torch.nn.Conv2d(3, num_classes, width)

class Bare(SegmentationNetwork):
    def __init__(self, num_classes):
        super().__init__()

class Foreign(torch.nn.Module):
    feature_channels, with_features = 3, None

    def __init__(self, num_classes):
        raise SystemExit("called")

class Other:
    pass

def net(num_classes):
    raise SystemExit("called")

def __getattr__(name):
    raise SystemExit("called")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Modules of somebody's own, below a folder on the path, which say when they are run."""
    monkeypatch.syspath_prepend(tmp_path)
    for path, text in {'own_net': OWN, 'own_package/__init__': '', 'own_package/net': OWN,
                       'own_package/__main__': 'raise SystemExit("ran")',
                       'own_loud': 'raise SystemExit("ran")',
                       'own_broken': 'class Net:\n  x = 1 / 0', 'own_garbled': 'class ('}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / f'{path}.py').write_text(text)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith('own_'):
            del sys.modules[name]


def test_a_class_of_ours_by_its_place():
    network = build_segmentation('ubcn_ros.network.segmentation.ddrnet:DDRNet23Slim', 3, width=4)
    assert network.classifier.out_channels == 3


@pytest.mark.parametrize('module', ['own_net', 'own_package.net'])
def test_a_class_of_somebodys_own(package, module):
    for _ in range(2):  # not imported yet, and imported
        network = build_segmentation(f'{module}:Net', 7, width=3, name='any')
        assert network.body.weight.shape == (7, 3, 3, 3)


@pytest.fixture(scope='module')
def loaded(tiny_model):
    """Network of the tiny model, and its configuration in plain values."""
    network, info = load_model(tiny_model)
    return network, json.loads(json.dumps(info.config.to_dict()))


WRONG = [
    'resnet', '', ':', 'own_net', 'own_net:', ':Net', 'own_net:Nothing', 'own_net:Net:Net',
    'own_net:net', 'own_net:Other', 'own_net:torch', 'own_net:__getattr__', 'own_net:Net.__init__',
    'own_net:Imported.__init__', 'own_net.deeper:Net', 'own_package:Net', 'own_package.no:Net',
    'own_package.__main__:Net', 'own_package.__main__:x', 'own_loud:x', 'own_loud:Net',
    'own_loud.deeper:Net', 'own_broken:Net', 'own_garbled:Net', '.own_net:Net', 'own_net.:Net',
    'no_such_module:Net', 'ubcn_ros.labels:Nothing', 'ubcn_ros.labels:LabelSet',
    'ubcn_ros.cli.__main__:main', 'ubcn_ros.cli:main', 'subprocess:Popen', 'subprocess:run',
    'os:system', 'os:_exit', 'builtins:exec', 'builtins:eval', 'builtins:type', 'builtins:print',
    'builtins:__import__', 'posix:system', 'pickle:loads', 'pickle:Unpickler', 'torch:load',
    'torch.hub:load', 'runpy:run_path', 'shutil:rmtree', 'antigravity:webbrowser', 'this:s',
    'importlib:import_module', 'torch.nn:Module', 'torch.nn:Sequential', 'torch.nn:functional',
    'ctypes:CDLL', '_posixsubprocess:fork_exec', 'a\0b:c', 'x' * 5000 + ':y', '\udc80:x',
    '/etc/passwd:x', '../own_net:Net', None, 5, ['own_net:Net'], {'a': 1}, True]


@pytest.mark.parametrize('name', WRONG)
def test_nothing_else_is_called_or_run(package, name):
    with pytest.raises(ValueError) as error:
        build_segmentation(name, 3)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize('name', ['own_net:net', 'own_loud:Net', 'os:system', '\udc80:x', None,
                                  ['own_net:Net']])
def test_nor_where_a_model_file_names_it(package, name, loaded, tmp_path):
    """It is one line that says which file."""
    network, config = loaded[0], loaded[1] | {'segmentation': name}
    network.config = type('Config', (), {'to_dict': lambda self: config})()
    path = tmp_path / 'wrong.safetensors'
    save_model(path, network, {})
    with pytest.raises(ModelFileError, match='wrong.safetensors describes a network that cannot'):
        load_model(path)


@pytest.mark.parametrize('options', [
    {'height': 3}, {'width': -1}, {'width': 'x'}, {'width': 1 << 40}, {'num_classes': 4}])
def test_options_that_build_nothing_are_named(package, options):
    for name in ('own_net:Net', 'ddrnet23_slim'):
        with pytest.raises(ValueError, match=f'{name!r} cannot be built .*{next(iter(options))}'):
            build_segmentation(name, 3, **options)


def test_a_network_that_lacks_what_training_needs_says_how_to_get_it(package):
    with pytest.raises(ValueError, match="'own_net:Bare' has no feature_channels: set it to "):
        build_segmentation('own_net:Bare', 3)
    # in half precision its images would not be of its weights' precision
    with pytest.raises(ValueError, match="'own_net:Foreign' is not a segmentation network, but .*"
                       'derive it from .*base.SegmentationNetwork'):
        build_segmentation('own_net:Foreign', 3)


def test_a_class_that_exists_already_needs_no_source(monkeypatch):
    class Net(SegmentationNetwork):
        feature_channels = 1

        def __init__(self, num_classes):
            super().__init__()
            self.count = num_classes

    module = type(sys)('made_in_a_notebook')
    module.Net = Net
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert build_segmentation('made_in_a_notebook:Net', 4).count == 4


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_images_are_normalised_before_they_are_rounded(dtype):
    network = build_segmentation('ddrnet23_slim', 3)
    seen = []
    network.encode = lambda x: seen.append(x) or (x, None)
    network.classify = lambda x, _: x
    image = torch.rand(1, 3, 8, 8)
    network(image)
    network.to(dtype)(image)
    assert torch.equal(seen[0].to(dtype), seen[1])
    assert network.to('meta').mean.is_meta
