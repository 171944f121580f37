# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every request is answered, in every state, and whatever a callback raises, the node goes on."""

import logging
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
from fake_engine import FakeEngine  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterValue  # noqa: E402
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from ros_client import Image, image_message, wait_until  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from ubcn_ros.node.answering_node import AnsweringNode, log_exceptions  # noqa: E402
from ubcn_ros.node.diagnostics import Level  # noqa: E402
from ubcn_ros.node.diagnostics_publisher import engine_report  # noqa: E402
from ubcn_ros.node.executor import ReportingExecutor  # noqa: E402
from ubcn_ros.node.ubcn_node import UBCNNode  # noqa: E402

SUCCESS, FAILURE, ERROR = (TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
                           TransitionCallbackReturn.ERROR)
WAYS = {'unconfigured': [], 'inactive': ['configure'], 'active': ['configure', 'activate'],
        'finalized': ['shutdown']}
POSSIBLE = {'unconfigured': {'configure': 1, 'shutdown': 5},
            'inactive': {'cleanup': 2, 'activate': 3, 'shutdown': 6},
            'active': {'deactivate': 4, 'shutdown': 7}, 'finalized': {}}
LABELS = {'configure', 'cleanup', 'activate', 'deactivate', 'shutdown'}


@pytest.fixture
def node(ros):
    """A node around a fake engine, unconfigured, that nothing spins."""
    node = UBCNNode(lambda settings, progress: FakeEngine(settings.model))
    yield node
    assert node.stop(10.0)
    node.destroy_node()


@pytest.fixture
def spinning(node):
    """Run the node's callbacks as its process does; fail where that ends."""
    executor = ReportingExecutor(node.callback_failed)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    assert thread.is_alive()
    executor.shutdown()
    thread.join(10.0)


def bring(node, state):
    for label in WAYS[state]:
        assert node.change_state(label) == SUCCESS
    assert node.lifecycle_state == state


def ask(node, number=0, label=''):
    """Ask the node's service without the transport between; return its answer."""
    service = next(s for s in node.services if s.srv_type is ChangeState)
    request = ChangeState.Request()
    request.transition.id, request.transition.label = number, label
    return service.callback(request, ChangeState.Response()).success


@pytest.mark.parametrize('state', WAYS)
def test_what_is_not_possible_is_refused_and_changes_nothing(node, state, capfd):
    bring(node, state)
    for number in set(range(256)) - set(POSSIBLE[state].values()):
        assert not ask(node, number), number
    for label in LABELS - set(POSSIBLE[state]) | {'Configure', 'transition_success', 'é' * 300}:
        assert not ask(node, 0, label), label
        for number in POSSIBLE[state].values():
            assert not ask(node, number, label), 'the label wins'
    assert node.lifecycle_state == state and node.callback_errors.count == 0
    told = capfd.readouterr().err
    assert f'transition 99 is not possible in state {state}; ' in told
    for label, number in POSSIBLE[state].items():
        assert f'{label} ({number})' in told
    assert ('end the process and start it again' in told) == (state == 'finalized')


@pytest.mark.parametrize('state, label', [
    (state, label) for state, labels in POSSIBLE.items() for label in labels])
@pytest.mark.parametrize('form', ['id', 'label', 'label and another id'])
def test_what_is_possible_is_done(node, state, label, form):
    bring(node, state)
    number = {'id': POSSIBLE[state][label], 'label': 0, 'label and another id': 99}[form]
    assert ask(node, number, '' if form == 'id' else label)
    assert node.lifecycle_state == {
        'configure': 'inactive', 'activate': 'active', 'deactivate': 'inactive',
        'cleanup': 'unconfigured', 'shutdown': 'finalized'}[label]


def test_a_manager_that_repeats_itself_is_answered_twice(start, client):
    node = start(fake_engine=True, autostart=False, model='loading:0.5')
    service = client.node.create_client(ChangeState, '/ubcn/change_state')
    assert service.wait_for_service(60.0)
    request = ChangeState.Request()
    request.transition.id = 1
    answers = [service.call_async(request) for _ in range(3)]
    wait_until(lambda: all(answer.done() for answer in answers), 'three answers')
    assert [answer.result().success for answer in answers] == [True, False, False]
    assert client.state() == 'inactive'
    for _ in range(2):
        request.transition.label = 'shutdown'
        answers.append(client.call(ChangeState, '/ubcn/change_state', request))
    assert [answer.success for answer in answers[3:]] == [True, False]
    assert client.state() == 'finalized'
    assert not client.call(GetAvailableTransitions, '/ubcn/get_available_transitions',
                         GetAvailableTransitions.Request()).available_transitions
    assert client.diagnostics('engine')['message'] == 'finalized: no model loaded'
    assert node.stop() == 0 and 'Traceback' not in node.output


class Failing(AnsweringNode):
    """A node whose transitions do what they are given."""

    def __init__(self, on_configure, on_error=lambda: SUCCESS):
        super().__init__('failing')
        self.outcomes = {'configure': on_configure, 'error': on_error}

    @log_exceptions
    def on_configure(self, state):
        return self.outcomes['configure']()

    @log_exceptions
    def on_error(self, state):
        return self.outcomes['error']()


@pytest.mark.parametrize('on_error, state', [
    (lambda: SUCCESS, 'unconfigured'), (lambda: FAILURE, 'finalized'),
    (lambda: ERROR, 'finalized'), (lambda: 1 / 0, 'finalized'), (lambda: None, 'finalized')])
@pytest.mark.parametrize('on_configure, text', [
    (lambda: [][1], 'on_configure: IndexError: list index out of range'),
    (lambda: None, 'on_configure: TypeError: returned None instead of a Transition'),
    (lambda: True, 'on_configure: TypeError: returned True instead of a Transition')])
def test_a_transition_that_fails_is_told_and_ends_in_a_state(
        ros, capfd, on_configure, text, on_error, state):
    node = Failing(on_configure, on_error)
    try:
        assert not ask(node, 1)
        assert node.lifecycle_state == state
        told = capfd.readouterr().err
        assert text in told
        assert f'transition configure ended in an error: the node is {state}' in told
        assert node.callback_errors.count >= 1
        node.outcomes['configure'] = lambda: SUCCESS
        assert ask(node, 1) == (state == 'unconfigured')
    finally:
        node.destroy_node()


def test_a_transition_asked_for_by_another_one_is_refused(ros):
    inner = []
    node = Failing(lambda: inner.append(node.change_state('shutdown')) or SUCCESS)
    try:
        assert node.change_state('configure') == SUCCESS
        assert inner == [FAILURE] and node.lifecycle_state == 'inactive'
    finally:
        node.destroy_node()


def test_what_fails_on_the_way_down_does_not_keep_the_rest(node):
    publishers = len(list(node.publishers))
    node.set_parameters([rclpy.Parameter('cameras', value=['front', 'left'])])
    bring(node, 'active')
    node.cameras.insert(1, SimpleNamespace(destroy=lambda: [][1]))
    assert not ask(node, 0, 'shutdown')  # an error, and error processing finds nothing to do
    assert node.lifecycle_state == 'unconfigured' and not node.cameras and node.engine is None
    assert len(list(node.publishers)) == publishers, 'those of the cameras on both sides are gone'
    wait_until(lambda: all(thread.name != 'engine' for thread in threading.enumerate()),
               'the thread to end')
    assert node.change_state('configure') == SUCCESS


@pytest.mark.parametrize('first', ['deactivate', 'shutdown', 'nothing'])
def test_giving_up_meets_another_transition(node, first, capfd):
    node.set_parameters([rclpy.Parameter('model', value='raises:1'),
                         rclpy.Parameter('max_failures', value=1)])
    bring(node, 'active')
    camera, = node.cameras
    node.create_subscription(Image, 'labels/image_raw', repr, 1)
    wait_until(camera.outputs.any_wanted, 'the subscription')
    camera.on_image(image_message(), {})
    wait_until(lambda: node.gave_up, 'the failure')
    executor = ReportingExecutor(node.callback_failed)
    executor.add_node(node)
    if first == 'nothing':
        wait_until(lambda: executor.spin_once(0.1) or node.lifecycle_state != 'active',
                   'the error transition')
    else:
        assert (node.change_state(first) == ERROR) == (first == 'deactivate')
    assert capfd.readouterr().err.count('gave up after 1 failures') == (first != 'shutdown')
    assert node.lifecycle_state == ('finalized' if first == 'shutdown' else 'unconfigured')
    assert node.change_state('configure') == (FAILURE if first == 'shutdown' else SUCCESS)
    for _ in range(5):
        executor.spin_once(0.01)  # giving up of an earlier time is of no effect
    assert node.lifecycle_state == ('finalized' if first == 'shutdown' else 'inactive')
    assert node.callback_errors.count == 0
    executor.shutdown()


LOST = ('the GPU is lost to this process, which must be restarted: RuntimeError: CUDA error: an '
        'illegal memory access was encountered')


@pytest.mark.parametrize('max_failures', [1, 0])
def test_without_its_gpu_only_another_process_or_the_cpu_helps(node, max_failures, capfd):
    node.set_parameters([rclpy.Parameter('model', value='lost'),
                         rclpy.Parameter('max_failures', value=max_failures)])
    bring(node, 'active')
    camera, = node.cameras
    node.create_subscription(Image, 'labels/image_raw', repr, 1)
    wait_until(camera.outputs.any_wanted, 'the subscription')
    camera.on_image(image_message(), {})
    wait_until(lambda: camera.statistics.failed, 'the failure')
    if max_failures:
        executor = ReportingExecutor(node.callback_failed)
        executor.add_node(node)
        wait_until(lambda: executor.spin_once(0.1) or node.lifecycle_state != 'active',
                   'the error transition')
        executor.shutdown()
        told = capfd.readouterr().err
        assert f'the last: {LOST}. The node is unconfigured now' in told
        assert 'configure and activate it again' not in told
    else:
        assert node.change_state('deactivate') == node.change_state('cleanup') == SUCCESS
    node.set_parameters([rclpy.Parameter('model', value='fast')])
    for _ in range(2):
        assert node.change_state('configure') == FAILURE
        assert f'cannot configure: {LOST}' in capfd.readouterr().err
    report = engine_report(node)
    assert report.level == Level.ERROR and LOST in report.message
    node.set_parameters([rclpy.Parameter('device', value='cpu')])
    assert node.change_state('configure') == SUCCESS
    assert engine_report(node).level == Level.OK
    assert node.change_state('cleanup') == SUCCESS
    node.set_parameters([rclpy.Parameter('device', value='cuda')])
    assert node.change_state('configure') == FAILURE, 'the process has not changed'
    assert engine_report(node).level == Level.ERROR


def test_loading_ends_where_the_process_is_told_to_stop(ros):
    stopping, loading = [], threading.Event()

    def load(settings, progress):
        stopping.append(True)
        loading.wait(20)
        return FakeEngine()

    node = UBCNNode(load, stopping=lambda: bool(stopping))
    try:
        assert node.change_state('configure') == FAILURE
        assert not loading.is_set()
    finally:
        loading.set()
        assert node.stop(20.0)
        node.destroy_node()


@pytest.mark.parametrize('label', ['deactivate', 'shutdown'])
def test_diagnostics_go_on_while_a_transition_waits(node, monkeypatch, label, capfd):
    begun, hold, reports = threading.Event(), threading.Event(), []
    bring(node, 'active')
    future = node._worker.submit(lambda: begun.set() or hold.wait(30))
    assert begun.wait(10)

    def publish(cameras):
        reports.append((hold.is_set(), cameras))
        raise RuntimeError('no publisher')  # which is counted, and the transition goes on
    monkeypatch.setattr(node._diagnostics, '_publish', publish)
    timer = threading.Timer(2.5, hold.set)
    timer.start()
    assert node.change_state(label) == SUCCESS
    assert future.done() and (False, []) in reports
    assert 'waiting for the frame, or the warm-up, that is in hand' in capfd.readouterr().err


def test_a_size_that_cannot_be_warmed_up_is_not_used(node, monkeypatch, capfd):
    bring(node, 'active')
    camera, warm_up = node.cameras[0], node.engine.warm_up

    def refused(*_, processing_size, **__):
        if processing_size == 96:
            raise ValueError('this network takes 64')

    def ask_for(size):
        node.set_parameters([rclpy.Parameter('processing_size', value=size)])
        wait_until(lambda: node._resizing.done(), 'the warm-up', 20.0)

    monkeypatch.setattr(node.engine, 'warm_up', refused)
    ask_for(64)
    ask_for(96)
    told = 'processing_size 96 cannot be warmed up, the one before stays: this network takes 64'
    assert camera.processing.asked == 64 and told in capfd.readouterr().err
    assert node.not_resized == told
    monkeypatch.setattr(node.engine, 'warm_up', warm_up)
    node.set_parameters_atomically([  # 96, as the parameter says already
        rclpy.Parameter('processing_size', value=96), rclpy.Parameter('iterations', value=2)])
    wait_until(lambda: node._resizing.done(), 'the warm-up', 20.0)
    assert camera.processing.asked == 96 and not node.not_resized
    ask_for(0)
    assert camera.processing.asked == 0


def test_where_memory_is_short_for_another_size_that_of_others_is_given_back(node, monkeypatch):
    bring(node, 'active')
    warm_up, released = node.engine.warm_up, []

    def full(*size, **options):
        if not released:
            raise MemoryError('held by other sizes')
        warm_up(*size, **options)
    monkeypatch.setattr(node.engine, 'warm_up', full)
    monkeypatch.setattr(node.engine, 'release_all', lambda: released.append(1), raising=False)
    node.set_parameters([rclpy.Parameter('processing_size', value=64)])
    wait_until(lambda: node._resizing.done(), 'the warm-up', 20.0)
    assert node.cameras[0].processing.asked == 64 and released and not node.not_resized


def test_a_gpu_that_is_lost_while_warming_up_is_remembered(node, monkeypatch):
    bring(node, 'active')

    def lost(*_, **__):
        raise RuntimeError('CUDA error: an illegal memory access was encountered')
    monkeypatch.setattr(node.engine, 'warm_up', lost)
    node.set_parameters([rclpy.Parameter('processing_size', value=64)])
    wait_until(lambda: node._resizing.done(), 'the warm-up', 20.0)
    assert 'an illegal memory access' in node.gpu_lost


@pytest.mark.parametrize('name', ['engine', 'publisher'])
def test_without_room_for_a_thread_configuring_fails_and_says_why(node, monkeypatch, name):
    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith(name):
            raise RuntimeError("can't start new thread")
        start(thread)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, 'start', refuse)
        assert node.change_state('configure') == FAILURE
    assert node.failure == "cannot configure: RuntimeError: can't start new thread"
    assert node.lifecycle_state == 'unconfigured' and not node.configured
    assert node.change_state('configure') == SUCCESS


def test_an_activation_that_fails_says_why_in_the_diagnostics(node, monkeypatch):
    bring(node, 'inactive')

    def refused(*_):
        raise ValueError('this QoS cannot be had')
    monkeypatch.setattr(node.cameras[0], 'open', refused)
    node.change_state('activate')
    for _ in range(2):
        report = engine_report(node)
        assert report.level == Level.ERROR and 'this QoS cannot be had' in report.message
    monkeypatch.undo()
    bring(node, 'active')
    assert engine_report(node).level == Level.OK


def test_what_the_engine_warns_of_is_in_the_node_s_log(node, capfd):
    logging.getLogger('ubcn_ros.runtime.engine').warning('short of %s', 'memory')
    logging.getLogger('ubcn_ros.runtime.engine').error('out of luck')
    told = capfd.readouterr().err
    assert '[WARN]' in told and 'ubcn]: short of memory' in told
    assert '[ERROR]' in told and 'ubcn]: out of luck' in told


def test_room_is_looked_for_again_where_images_are_larger(node, monkeypatch):
    looked = []
    monkeypatch.setattr('ubcn_ros.node.ubcn_node.explain_room',
                        lambda _, load, __: looked.append((load.height, load.width)))
    bring(node, 'active')
    for size in ((48, 64), (2160, 3840), (2160, 3840), (480, 640)):
        node._pipeline.sizes[node.cameras[0]] = size
        node._diagnostics.publish()
    assert looked == [(480, 640), (2160, 3840)]


def test_room_is_looked_for_by_the_depth_of_the_outputs(ros, monkeypatch):
    looked = []
    monkeypatch.setattr('ubcn_ros.node.ubcn_node.explain_room',
                        lambda _, load, __: looked.append((load.cameras, load.depth)))
    for cameras in ([], ['front', 'left']):
        node = UBCNNode(lambda settings, progress: FakeEngine(), parameter_overrides=[
            rclpy.Parameter('cameras', value=cameras),
            rclpy.Parameter('qos_overrides./left/derained/image_raw.publisher.depth', value=20)])
        try:
            bring(node, 'inactive')
            assert node.change_state('cleanup') == SUCCESS
        finally:
            assert node.stop(10.0)
            node.destroy_node()
    assert looked == [(1, 5), (2, 20)]


def test_a_gpu_that_is_lost_while_configuring_is_not_tried_again(ros, capfd):
    tried = []

    def load(settings, progress):
        tried.append(settings)
        return FakeEngine('lost')(np.zeros((32, 32, 3), np.uint8))

    node = UBCNNode(load)
    try:
        for _ in range(2):
            assert node.change_state('configure') == FAILURE
            assert f'cannot configure: {LOST}' in capfd.readouterr().err
        report = engine_report(node)
        assert report.level == Level.ERROR and LOST in report.message
        assert len(tried) == 1
    finally:
        assert node.stop(10.0)
        node.destroy_node()


def bad_parameters():
    return [Parameter(name='iterations', value=ParameterValue(type=2, integer_value=2)),
            Parameter(name='iterations', value=ParameterValue(type=77)),
            Parameter(name='iterations', value=ParameterValue(type=2, integer_value=1))]


def test_parameters_of_no_known_type_are_refused_by_name_and_are_no_error(spinning, client):
    results = client.call(SetParameters, '/ubcn/set_parameters',
                        SetParameters.Request(parameters=bad_parameters())).results
    assert [result.successful for result in results] == [True, False, True]
    assert results[1].reason.startswith("parameter 'iterations' has the type 77, which ")
    assert spinning.settings.iterations == 1
    result = client.call(SetParametersAtomically, '/ubcn/set_parameters_atomically',
                       SetParametersAtomically.Request(parameters=bad_parameters()[:2])).result
    assert not result.successful
    assert result.reason.startswith("parameter 'iterations' has the type 77, which ")
    assert spinning.settings.iterations == 1
    assert client.diagnostics('engine')['callback errors'] == '0'


def test_of_a_parameter_named_twice_the_last_value_counts(spinning, client):
    for before, values in ((3, (2, 3)), (3, (5, 4)), (4, (4, 3))):
        client.call(SetParameters, '/ubcn/set_parameters', SetParameters.Request(parameters=[
            Parameter(name='iterations', value=ParameterValue(type=2, integer_value=before))]))
        result = client.call(
            SetParametersAtomically, '/ubcn/set_parameters_atomically',
            SetParametersAtomically.Request(parameters=[
                Parameter(name='iterations', value=ParameterValue(type=2, integer_value=value))
                for value in values])).result
        assert result.successful and spinning.settings.iterations == values[-1]


def test_an_override_of_qos_that_comes_too_late_is_refused_by_name(spinning, client):
    name = 'qos_overrides./image.subscription.depth'
    result, = client.call(SetParameters, '/ubcn/set_parameters', SetParameters.Request(parameters=[
        Parameter(name=name, value=ParameterValue(type=2, integer_value=5))])).results
    assert not result.successful and name in result.reason and 'at the start' in result.reason


def test_parameters_are_not_removed(spinning, client):
    for name in ('cameras', 'iterations', 'use_sim_time', ''):
        parameters = [Parameter(name=name), Parameter(name='iterations', value=ParameterValue(
            type=2, integer_value=2))]
        results = client.call(SetParameters, '/ubcn/set_parameters',
                            SetParameters.Request(parameters=parameters)).results
        assert [result.successful for result in results] == [False, True] and results[0].reason
    values = client.call(GetParameters, '/ubcn/get_parameters', GetParameters.Request(
        names=['cameras', 'iterations', 'use_sim_time'])).values
    assert len(values) == 3 and all(value.type for value in values)


def test_a_service_whose_callback_raises_answers(spinning, client, capfd):
    spinning.add_pre_set_parameters_callback(lambda parameters: [][1])
    result = client.set_parameter('iterations', 2)
    assert not result.successful and result.reason == 'IndexError: list index out of range'
    assert 'service ubcn/set_parameters: IndexError: list index out of range (test_lifecycle.py:' \
        in capfd.readouterr().err
    assert client.call(GetState, '/ubcn/get_state', GetState.Request()).current_state.label \
        == 'unconfigured'


def publish(client, subscription, *texts):
    """Publish once each side knows the other: what is sent before that may be lost."""
    publisher = client.publisher(subscription.topic_name, String)
    wait_until(lambda: publisher.get_subscription_count() and subscription.get_publisher_count(),
               f'both sides of {subscription.topic_name}')
    for text in texts:
        publisher.publish(String(data=text))


def test_no_callback_ends_the_executor(spinning, client, capfd):
    node, group, ran = spinning, spinning.default_callback_group, set()

    def failing(kind):
        def fail(*_):
            ran.add(kind)
            raise RuntimeError('injected')
        return fail

    async def fail_later(*_):
        failing('subscription /text_later')()

    guard = node.create_guard_condition(failing('guard condition'), callback_group=group)
    timer = node.create_timer(0.05, failing('timer'))
    subscriptions = [
        node.create_subscription(String, '/text', failing('subscription /text'), 10),
        node.create_subscription(String, '/text_later', fail_later, 10)]
    assert client.diagnostics('engine')['level'] == '2'
    timer.cancel()
    guard.trigger()
    for subscription in subscriptions:
        publish(client, subscription, 'x')
    node.executor.create_task(failing('task'))
    wait_until(lambda: len(ran) == 5, 'each kind of callback')
    status = client.diagnostics('engine')
    count = int(status['callback errors'])
    assert count >= 5 and 'RuntimeError: injected' in status['last callback error']
    wait_until(lambda: client.diagnostics('engine')['level'] == '1', 'a period without one')
    log = capfd.readouterr().err  # once: what is written while it is read would be lost
    assert all(f'{kind}: RuntimeError: injected (test_lifecycle.py:' in log for kind in ran)
    assert node.callback_errors.count == count and client.change_state('configure')


def test_a_message_that_cannot_be_taken_does_not_stop_the_others(spinning, client, monkeypatch):
    """rclpy leaves the callback group locked for ever where taking raises."""
    node, received = spinning, []
    subscription = node.create_subscription(String, '/text', received.append, 10)
    taken = []

    class Handle:
        """Fails once as the middleware may, then hands out messages."""

        def take_message(self, *arguments):
            taken.append(arguments)
            if len(taken) == 1:
                raise RuntimeError('cannot be deserialized')
            return handle.take_message(*arguments)

        def __enter__(self):
            return handle.__enter__()

        def __exit__(self, *arguments):
            return handle.__exit__(*arguments)

    handle = subscription.handle
    executor = node.executor
    take = executor._take_subscription
    monkeypatch.setattr(executor, '_take_subscription', lambda sub: take(
        SimpleNamespace(handle=Handle(), msg_type=sub.msg_type, raw=sub.raw, callback=sub.callback,
                        _callback_type=sub._callback_type) if sub is subscription else sub))
    publish(client, subscription, *'ab')
    wait_until(lambda: len(received) == 2, 'both messages: the first was not taken')
    assert [message.data for message in received] == ['a', 'b']
    assert node.callback_errors.last.startswith(
        'subscription /text, taking: RuntimeError: cannot be deserialized')
    assert client.state() == 'unconfigured'


def test_waiting_that_fails_is_tried_again(node):
    class FailingOnce(ReportingExecutor):
        failures = [IndexError('list index out of range')]

        def get_nodes(self):
            if self.failures:
                raise self.failures.pop()
            return super().get_nodes()

    executor = FailingOnce(node.callback_failed)
    executor.add_node(node)
    executor.spin_once(0.01)
    assert node.callback_errors.last.startswith('waiting for callbacks: IndexError')
    ran = []
    executor.create_task(lambda: ran.append(1))
    executor.spin_once(1.0)
    assert ran == [1]
    executor.shutdown()


def test_a_callback_that_fails_at_the_rate_of_a_camera_is_told_once(start, client):
    node = start(fake_engine=True, use_sim_time=True, autostart=False)
    assert client.state() == 'unconfigured'
    clock = client.node.create_publisher(Clock, '/clock', 100)
    wait_until(clock.get_subscription_count, 'the node to follow /clock')
    tick = Clock()
    tick.clock.sec = -5
    before, begun = client.diagnostics('engine'), time.monotonic()

    def ticked():
        for _ in range(60):
            clock.publish(tick)
            time.sleep(0.005)
        return (int(client.diagnostics('engine')['callback errors'])
                > int(before['callback errors']) + 10)

    wait_until(ticked, 'the count')
    told = node.output.count('subscription /clock: Seconds value must not')
    assert 1 <= told <= 2 + (time.monotonic() - begun) / 5.0  # of the throttle
    assert client.change_state('configure') and client.change_state('activate')
    outputs = client.record('/derained/image_raw')
    client.wait_for_subscriber('/image')
    client.publisher('/image').publish(image_message())
    wait_until(lambda: client.publisher('/image').publish(image_message()) or time.sleep(0.1)
               or outputs, 'an output')
    assert node.stop() == 0 and 'Traceback' not in node.output
