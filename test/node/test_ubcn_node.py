# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node in this process: what it takes and reports, and what stays behind."""

import pickle
import threading
import time
import weakref
from types import SimpleNamespace

import fake_engine
import numpy as np
import pytest

pytest.importorskip('rclpy')
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_client import RosClient, wait_until  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from ubcn_ros.node import outputs as outputs_module  # noqa: E402
from ubcn_ros.node.diagnostics import Level, resident_mib  # noqa: E402
from ubcn_ros.node.diagnostics_publisher import DiagnosticsPublisher, engine_report  # noqa: E402
from ubcn_ros.node.topics import COLOR  # noqa: E402
from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402
from ubcn_ros.node.worker import Worker  # noqa: E402
from ubcn_ros.runtime import load_model  # noqa: E402


def make_node(**parameters):
    return UBCNNode(parameter_overrides=[
        Parameter(name, value=value) for name, value in parameters.items()])


def test_many_lifecycles_leave_nothing_behind(ros, tiny_model):
    node = make_node(model=str(tiny_model), device='cpu', precision='fp32', iterations=1,
                     warm_up_width=32, warm_up_height=32)
    steps = (node.trigger_configure, node.trigger_activate, node.trigger_deactivate,
             node.trigger_cleanup)
    memory = {}
    try:
        publishers = len(list(node.publishers))
        for cycle in range(28):
            for step in steps:
                assert step() == TransitionCallbackReturn.SUCCESS, (cycle, step)
            if cycle in (9, 18, 27):
                memory[cycle] = resident_mib()
        assert len(list(node.publishers)) == publishers
        assert not list(node.subscriptions) or all(
            'image' not in subscription.topic_name for subscription in node.subscriptions)
        assert not [thread for thread in threading.enumerate() if thread.name == 'engine']
    finally:
        assert node.stop(10.0)
        node.destroy_node()
    # a model is more than that, and what leaks does so every time: other tests' threads once
    assert min(memory[18] - memory[9], memory[27] - memory[18]) < 9 * 0.2, memory


def test_a_bad_model_file_fails_configure_with_one_message(
        ros, tiny_model, partial_model, tmp_path, capfd):
    truncated, pickled = tmp_path / 'truncated.safetensors', tmp_path / 'pickled.safetensors'
    truncated.write_bytes(tiny_model.read_bytes()[:-1000])
    pickled.write_bytes(pickle.dumps({'weights': [1.0]}))
    node = make_node(device='cpu', precision='fp32', warm_up_width=0)
    try:
        for path in (tmp_path / 'missing.safetensors', truncated, pickled, partial_model):
            assert node.set_parameters([Parameter('model', value=str(path))])[0].successful
            assert node.change_state('configure') == TransitionCallbackReturn.FAILURE
            assert node.lifecycle_state == 'unconfigured'
            told = capfd.readouterr().err
            assert path.name in told and told.count('cannot configure: ') == 1
            assert 'Traceback' not in told
        assert node.set_parameters([Parameter('model', value=str(tiny_model))])[0].successful
        assert node.change_state('configure') == TransitionCallbackReturn.SUCCESS
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    finally:
        assert node.stop(10.0)
        node.destroy_node()


@pytest.mark.parametrize('place', ['ubcn_ros.node.loading.warm_up',
                                   'ubcn_ros.node.ubcn_node.Camera'])
def test_of_an_engine_that_could_not_be_used_nothing_is_left_when_memory_is_freed(ros, monkeypatch,
                                                                                  place):
    made, left = [], []

    def load(settings, progress):
        engine = fake_engine.FakeEngine()
        made.append(weakref.ref(engine))
        return engine

    def fail(*args, **options):
        raise MemoryError('no memory')
    monkeypatch.setattr(place, fail)
    monkeypatch.setattr('ubcn_ros.node.ubcn_node.free_memory', lambda: left.append(made[-1]()))
    node = UBCNNode(load)
    try:
        assert node.change_state('configure') == TransitionCallbackReturn.FAILURE
        assert node.failure == 'cannot configure: MemoryError: no memory'
        assert left == [None]
    finally:
        node.destroy_node()


def test_a_model_with_untrained_parts_is_refused_unless_allowed(ros, partial_model):
    parameters = {'model': str(partial_model), 'device': 'cpu', 'precision': 'fp32',
                  'warm_up_width': 0}
    for allowed in (False, True):
        node = make_node(**parameters, allow_partial_model=allowed)
        expected = TransitionCallbackReturn.SUCCESS if allowed else \
            TransitionCallbackReturn.FAILURE
        try:
            assert node.trigger_configure() == expected
            report = engine_report(node)
            assert report.level == (Level.WARN if allowed else Level.ERROR)
            assert 'random numbers for derain and attention' in report.message
            if allowed:
                assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        finally:
            assert node.stop(10.0)
            node.destroy_node()


def test_diagnostics_go_on_while_the_engine_is_loaded(ros, monkeypatch):
    told, enough = [], threading.Event()

    def publish(publisher, _cameras):
        told.append(engine_report(publisher._node))
        if len(told) == 2:
            enough.set()
    monkeypatch.setattr(DiagnosticsPublisher, '_publish', publish)

    def load(settings, progress):
        assert enough.wait(120)
        return fake_engine.FakeEngine()
    node = UBCNNode(load, parameter_overrides=[Parameter('model', value='large')])
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert {report.level for report in told[:2]} == {Level.WARN}
        assert all('loading large' in report.message for report in told[:2])
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        assert 'no model loaded' in engine_report(node).message
    finally:
        assert node.stop(10.0)
        node.destroy_node()


def test_what_masks_leave_out_is_announced_with_the_classes(ros, tiny_model, monkeypatch):
    told = []
    monkeypatch.setattr(outputs_module.Outputs, 'announce',
                        lambda outputs, threshold: told.append(threshold))
    node = make_node(model=str(tiny_model), device='cpu', precision='fp32', warm_up_width=0,
                     min_confidence=0.25)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        for name, value in (('iterations', 2), ('min_confidence', 0.5)):
            assert node.set_parameters([Parameter(name, value=value)])[0].successful
        assert told == [0.25, 0.5]
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    finally:
        assert node.stop(10.0)
        node.destroy_node()


@pytest.mark.parametrize('count', [2, 200])
def test_names_and_colours_are_those_of_the_model_file(ros, own_model, monkeypatch, count):
    announced = []
    if outputs_module.LabelInfo is not None:
        monkeypatch.setattr(outputs_module, 'label_info', lambda labels, *_: announced.append(
            labels.classes) or outputs_module.LabelInfo())
    node = make_node(model=str(own_model(count)), device='cpu', precision='fp32',
                     warm_up_width=0)
    client = RosClient('labels')
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        labels = load_model(own_model(count))[1].config.label_set
        assert announced in ([], [labels.classes])
        outputs = node.cameras[0].outputs
        client.record('/labels/color')
        wait_until(lambda: outputs.wanted(COLOR), COLOR)
        ids = np.arange(count, dtype=np.uint8)[None]
        frame = SimpleNamespace(labels=ids, confidence=None, derained=None)
        outputs.publish(Header(), frame, 'rgb8', 0.5)
        wait_until(lambda: client.received['/labels/color'], 'colours')
        assert bytes(client.received['/labels/color'][0].data) == bytes(
            np.uint8(labels.colors))
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    finally:
        client.close()
        assert node.stop(10.0)
        node.destroy_node()


@pytest.fixture
def fake_node(ros):
    nodes = []

    def make(**parameters):
        nodes.append(UBCNNode(load=fake_engine.load, parameter_overrides=[
            Parameter(name, value=value) for name, value in {'model': 'fast', **parameters}.items()
        ]))
        assert nodes[-1].trigger_configure() == TransitionCallbackReturn.SUCCESS
        return nodes[-1]

    yield make
    for node in nodes:
        node.trigger_cleanup()
        assert node.stop(10.0)
        node.destroy_node()


def test_told_to_stop_while_it_waits_for_a_frame_its_thread_is_ended_all_the_same(fake_node,
                                                                              monkeypatch):
    node = fake_node()

    def interrupted(*_):
        raise KeyboardInterrupt
    with monkeypatch.context() as patched:
        patched.setattr(Worker, 'pause', interrupted)
        with pytest.raises(KeyboardInterrupt):
            node.on_cleanup(None)
    assert node.stop(10.0)
    assert not [thread for thread in threading.enumerate() if thread.name == 'engine']


def test_worker_and_publisher_have_one_time_together_to_end(fake_node, monkeypatch):
    node, given = fake_node(), []

    def close(timeout):
        given.append(timeout)
        time.sleep(0.2)
        return True
    with monkeypatch.context() as patched:
        patched.setattr(node._worker, 'close', close)
        patched.setattr(node._pipeline, 'finish', lambda timeout: given.append(timeout) or True)
        assert node.stop(30.0) and node.stop(0.1)
    first, rest, short, none = given
    assert (first, short, none) == (30.0, 0.1, 0.0) and 0 < rest <= 29.8


def set_parameter(node, name, value):
    result, = node.set_parameters([Parameter(name, value=value)])
    node._worker.submit(lambda: None).result()  # after what the change began
    return result


def sizes(node):
    return [camera.processing.begin() for camera in node.cameras]


def test_a_processing_size_changes_at_runtime_after_a_warm_up(fake_node):
    node = fake_node(cameras=['front', 'left'], warm_up_width=64, warm_up_height=48)
    warm_ups = []
    node.engine.warm_up = lambda height, width, progress, count, processing_size: \
        warm_ups.append((height, width, count, processing_size, sizes(node)))
    assert sizes(node) == [-1, -1]
    assert set_parameter(node, 'processing_size', 360).successful
    assert sizes(node) == [360, 360]
    assert warm_ups == [(48, 64, count, 360, [-1, -1]) for count in (1, 2)]
    warm_ups.clear()
    assert set_parameter(node, 'processing_size', [0, 360]).successful
    assert sizes(node) == [0, 360] and [warm[:4] for warm in warm_ups] == [
        (48, 64, 1, 0), (48, 64, 1, 360)]
    assert set_parameter(node, 'iterations', 2).successful and len(warm_ups) == 2


@pytest.mark.parametrize('cameras, alone, listed', [
    ([], 240, [240]), (['front', 'left'], 240, [240, 240])])
def test_one_size_for_all_is_the_same_as_a_list_of_it(fake_node, cameras, alone, listed):
    node = fake_node(cameras=cameras, warm_up_width=64, warm_up_height=48)
    assert set_parameter(node, 'processing_size', alone).successful
    warm_ups = []
    node.engine.warm_up = lambda *_, processing_size, **__: warm_ups.append(processing_size)
    for value in (listed, alone):
        assert set_parameter(node, 'processing_size', value).successful
        assert not warm_ups and set(sizes(node)) == {240}


def test_without_a_warm_up_a_camera_that_was_not_heard_keeps_no_other_from_its_own(fake_node):
    node = fake_node(cameras=['front', 'left'], warm_up_width=0)
    warm_ups = []
    node.engine.warm_up = lambda height, width, progress, count, processing_size: \
        warm_ups.append((height, width, count, processing_size))
    assert set_parameter(node, 'processing_size', 100).successful
    node._pipeline.sizes[node.cameras[0]] = 48, 64
    assert set_parameter(node, 'processing_size', 360).successful
    assert warm_ups == [(48, 64, 1, 360)] and node._queue._most == 1


def test_of_sizes_that_change_meanwhile_only_the_last_is_warmed_up(fake_node, monkeypatch):
    """As by a slider: frames wait for two warm-ups, not for one of every value."""
    node, warm_ups = fake_node(), []
    begun, gate = threading.Event(), threading.Event()

    def warm_up(*_, processing_size, **__):
        warm_ups.append(processing_size)
        begun.set()
        assert gate.wait(10.0)

    node.engine.warm_up = warm_up
    node.set_parameters([Parameter('processing_size', value=100)])
    assert begun.wait(10.0)
    for size in range(107, 240, 7):
        assert node.set_parameters([Parameter('processing_size', value=size)])[0].successful
    pause = node._worker.pause
    monkeypatch.setattr(node._worker, 'pause', lambda: [pause(), gate.set()][0])
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert warm_ups == [100], 'what waits is not begun any more'
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    begun.clear(), gate.clear(), warm_ups.clear()
    node.engine.warm_up = warm_up
    node.set_parameters([Parameter('processing_size', value=100)])
    assert begun.wait(10.0)
    for size in range(107, 240, 7):
        assert node.set_parameters([Parameter('processing_size', value=size)])[0].successful
    gate.set()
    node._worker.submit(lambda: None).result(10.0)
    assert warm_ups == [100, 233] and sizes(node) == [233]


@pytest.mark.parametrize('value, reason', [
    ([360, 360], 'processing_size lists 2 (360, 360) for 1 camera: give one value for all'),
    (31, 'processing_size must be -1, 0 or 32 to 8192, or a list of these'),
    ([31], 'processing_size must be -1, 0 or 32 to 8192'), (2.5, 'processing_size must be'),
    (True, 'processing_size must be an integer')])
def test_a_processing_size_that_cannot_be_is_refused(fake_node, value, reason):
    node = fake_node(warm_up_width=0)
    result = set_parameter(node, 'processing_size', value)
    assert not result.successful and reason in result.reason
    assert sizes(node) == [-1] and node.settings.processing_size == -1


def test_lists_that_do_not_fit_the_cameras_are_refused_when_configuring(ros):
    node = UBCNNode(load=fake_engine.load, parameter_overrides=[
        Parameter('processing_size', value=[0, 360])])
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    finally:
        node.destroy_node()
