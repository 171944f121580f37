# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What tests of several folders need: small models with random weights, and ROS."""

import errno
import faulthandler
import functools
import gc
import os
import signal
from pathlib import Path

import pytest


def pytest_configure():
    """Let processes that tests start find the networks of tests, too, and signals be heard."""
    stderr, process = os.dup(2), os.getpid()  # not what a test prints to

    def end(number, frame):
        """Say what runs here: a signal from a test that comes too late would leave no trace."""
        if os.getpid() == process:  # nor one that it forked
            os.write(stderr, f'ended by {signal.Signals(number).name}\n'.encode())
            faulthandler.dump_traceback(stderr)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in (signal.SIGHUP, signal.SIGTERM):  # SIGHUP also under nohup, which ignores it
        signal.signal(number, end)
    folder = str(Path(__file__).parent)
    os.environ['PYTHONPATH'] = os.pathsep.join(
        filter(None, [folder, os.environ.get('PYTHONPATH')]))


def pytest_collection():
    """Import all without collecting garbage: that takes a quarter of the time, and finds none."""
    gc.disable()


def pytest_collection_finish():
    """Keep collections of garbage from looking through all that was imported: it stays."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Skip what needs a CUDA device where there is none."""
    if item.get_closest_marker('gpu'):
        import torch
        if not torch.cuda.is_available():
            pytest.skip('no CUDA device')


@pytest.fixture(scope='session')
def ros():
    """Initialise rclpy in a domain of this session's own; skip where there is no ROS."""
    rclpy = pytest.importorskip('rclpy')
    from ubcn_ros.bags.live.node_process import enter_private_domain
    enter_private_domain(shared_memory=False)
    from rclpy.signals import SignalHandlerOptions
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture
def simulated_gpu(monkeypatch):
    """Let PyTorch have a CUDA device that is none; gives what waited for it, as ``waits``."""
    from simulated_cuda import simulated_cuda
    with simulated_cuda(monkeypatch) as mode:
        yield mode


@pytest.fixture
def unheard(monkeypatch):
    """Let commands print nothing to standard output, as where its disk is full."""
    import click
    echo = click.echo

    def failing(message=None, file=None, nl=True, err=False, color=None):
        if not err:
            raise OSError(errno.ENOSPC, 'No space left on device')
        echo(message, file, nl, err, color)

    monkeypatch.setattr(click, 'echo', failing)


@pytest.fixture(scope='module')
def one_thread():
    """Tiny tensors gain nothing from threads, lose much beside other work, and sums keep order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def default_type():
    """Function that sets PyTorch's default type, which is as before after the test."""
    import torch

    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


@pytest.fixture
def default_device():
    """Function that sets PyTorch's default device, of which there is none after the test."""
    import torch

    yield torch.set_default_device
    torch.set_default_device(None)


@pytest.fixture(scope='session')
def painted():
    """Streets by seed and size, each painted once: that takes a second at any size."""
    from ubcn_ros.data.drive.drive import Drive
    return functools.lru_cache(maxsize=16)(lambda seed, height, width: Drive(seed, height, width))


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory):
    """Path of a small model file with random weights and the CamVid labels."""
    import torch

    from ubcn_ros.data.formats.camvid import CAMVID
    from ubcn_ros.network import IDMConfig, UBCNConfig, build
    from ubcn_ros.network.veil_field import FieldSAMConfig
    from ubcn_ros.runtime import save_model
    torch.manual_seed(0)
    config = UBCNConfig(CAMVID, IDMConfig(8, 2, 2),
                        FieldSAMConfig(8, 2, 2, form='trunk', coarse_from_previous=0.5),
                        'small_segmentation:SmallSegmentation', {'width': 4})
    network = build(config)
    # the last convolutions start at zero, which would make every output the input
    for module in (network.derain, network.attention):
        torch.nn.init.normal_(module.tail[1].weight, std=0.02)
    torch.nn.init.normal_(network.segmentation.classifier.weight, std=0.5)  # sure of its labels
    path = tmp_path_factory.mktemp('models') / 'tiny.safetensors'
    save_model(path, network, {'note': 'random weights for tests'})
    return path


@pytest.fixture
def quick(tiny_model):
    """Options of commands: the tiny model on the CPU, one step."""
    return '--model', tiny_model, '--device', 'cpu', '--precision', 'fp32', '--iterations', 1


@pytest.fixture(scope='session')
def rain_model(tmp_path_factory):
    """Path of a small model like the tiny one that lifts a veil and estimates the rain."""
    import torch

    from ubcn_ros.data.formats.camvid import CAMVID
    from ubcn_ros.network import IDMConfig, SAMConfig, UBCNConfig, VeilConfig, build
    from ubcn_ros.runtime import save_model
    torch.manual_seed(2)
    network = build(UBCNConfig(CAMVID, IDMConfig(8, 2, 2), SAMConfig(8, 2, 2, form='trunk'),
                               'ddrnet23_slim', {'width': 4, 'context_window': [1, 2]},
                               VeilConfig(4, 1, 4)))
    for last in (network.derain.tail[1], network.attention.tail[1], network.veil.field,
                 network.rain_head.layers[-1]):  # these start at zero
        torch.nn.init.normal_(last.weight, std=0.02)
    path = tmp_path_factory.mktemp('models') / 'rain.safetensors'
    save_model(path, network, {'note': 'random weights for tests'})
    return path


@pytest.fixture(scope='session')
def partial_model(tiny_model, tmp_path_factory):
    """Path of the tiny model as a stage leaves it that trained its segmentation alone."""
    from ubcn_ros.runtime import load_model, save_model
    path = tmp_path_factory.mktemp('models') / 'partial.safetensors'
    save_model(path, load_model(tiny_model)[0], {'stage': 'adapt', 'trained': ['segmentation']})
    return path


@pytest.fixture(scope='session')
def tiny_engine(tiny_model):
    """Engine of the tiny model on the CPU in fp32."""
    from ubcn_ros.runtime import Engine
    return Engine.load(tiny_model, device='cpu', precision='fp32')


@pytest.fixture(scope='session')
def own_model(tmp_path_factory):
    """Function that returns the path of a small model of so many made-up classes."""
    import functools

    import torch

    from ubcn_ros.labels import LabelSet, paths_of
    from ubcn_ros.network import IDMConfig, SAMConfig, UBCNConfig, build
    from ubcn_ros.runtime import save_model

    @functools.cache
    def made(count):
        torch.manual_seed(count)
        labels = LabelSet('made up', tuple(f'thing {count - i}' for i in range(count)),
                          tuple((i, 255 - i, i * 7 % 256) for i in range(count)),
                          paths_of(count, range(1, min(4, count))))
        network = build(UBCNConfig(labels, IDMConfig(4, 1, 2), SAMConfig(4, 1, 2, form='trunk'),
                                   'small_segmentation:SmallSegmentation', {'width': 4}))
        classifier = network.segmentation.classifier
        torch.nn.init.normal_(classifier.weight, std=3)
        with torch.no_grad():  # every class has its turn
            logits = network.eval().segmentation(torch.rand(1, 3, 48, 64))
            classifier.bias -= logits.mean((0, 2, 3))
        path = tmp_path_factory.mktemp('models') / f'own_{count}.safetensors'
        save_model(path, network, {})
        return path
    return made


@pytest.fixture
def shallow(monkeypatch):
    """Large baselines with the least that has all of their parts: two stages, one block a pass."""
    monkeypatch.setattr('ubcn_ros.network.baselines.rcdnet.STAGES', 2)
    monkeypatch.setattr('ubcn_ros.network.baselines.jorder_e.BLOCKS', 1)
