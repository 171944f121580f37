# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What other processes do with parameters: dump, edit, load; set one, or several at once."""

import pytest
import yaml

pytest.importorskip('rclpy')
from rcl_interfaces.srv import GetParameters, ListParameters  # noqa: E402
from rclpy.parameter import Parameter, parameter_value_to_python  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from ros_client import RosClient, wait_until  # noqa: E402
from test_parameters import CONFIG  # noqa: E402

from ubcn_ros.node.parameters import SPECS  # noqa: E402

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def parameters(start_shared, ros):
    """The parameter services of a configured node, started with the shipped parameter file."""
    node = start_shared(fake_engine=True, params_file=CONFIG, model='fast')
    client = RosClient('parameters')
    node.wait_for_log('active: waiting for images')
    parameters = AsyncParameterClient(client.node, 'ubcn')
    assert parameters.wait_for_services(60.0)
    parameters.client = client
    yield parameters
    client.close()


def result(future):
    wait_until(future.done, 'an answer')
    return future.result()


def dump(parameters, path):
    """Write what `ros2 param dump` does; return the names."""
    names = parameters.client.call(ListParameters, '/ubcn/list_parameters',
                             ListParameters.Request()).result.names
    content = {}
    for name in names:
        value, = parameters.client.call(GetParameters, '/ubcn/get_parameters',
                                  GetParameters.Request(names=[name])).values
        value = parameter_value_to_python(value)
        *groups, last = name.split('.')
        place = content
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = list(value) if not isinstance(value, str | int | float) else value
    path.write_text(yaml.dump({'/ubcn': {'ros__parameters': content}}))
    return names


def test_a_dumped_file_can_be_edited_and_loaded(parameters, tmp_path):
    path = tmp_path / 'ubcn.yaml'
    names = dump(parameters, path)
    assert {spec.name for spec in SPECS} <= set(names)
    assert {'use_sim_time', 'start_type_description_service',
            'qos_overrides./image.subscription.depth'} <= set(names)
    text = path.read_text()
    for old, new in ((' iterations: 3', ' iterations: 2'), (' device: auto', ' device: cpu'),
                     (' deadline_ms: 0.0', ' deadline_ms: 40')):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    results = result(parameters.load_parameter_file(str(path), True)).results
    refused = {name: answer.reason for name, answer in zip(
        _flat(yaml.safe_load(text)['/ubcn']['ros__parameters']), results, strict=True)
        if not answer.successful}
    assert list(refused) == ['device']
    assert 'fixed while the node is configured' in refused['device']
    values = result(parameters.get_parameters(['iterations', 'deadline_ms', 'device'])).values
    assert [parameter_value_to_python(value) for value in values] == [2, 40, 'auto']


def _flat(content, prefix=''):
    return [name for key, value in content.items() for name in (
        _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else [prefix + key])]


def test_what_is_unchanged_does_not_stand_in_the_way_of_what_changes(parameters):
    unchanged = [Parameter('model', value='fast'), Parameter('autostart', value=True),
                 Parameter('cameras', Parameter.Type.STRING_ARRAY, []),
                 Parameter('use_sim_time', value=False),
                 Parameter('qos_overrides./image.subscription.reliability', value='reliable'),
                 Parameter('overlay_alpha', value=0.5)]
    for change in ([Parameter('iterations', value=1)], []):
        answer = result(parameters.set_parameters_atomically([*unchanged, *change])).result
        assert answer.successful, answer.reason
    assert result(parameters.get_parameters(['iterations'])).values[0].integer_value == 1


@pytest.mark.parametrize('name, value, reason', [
    ('model', 'other', 'model is fixed while the node is configured'),
    ('autostart', False, 'autostart is read once at start'),
    ('cameras', ['front'], 'cameras is fixed'),
    ('qos_overrides./image.subscription.depth', 7, 'read-only'),
    ('iterations', True, 'iterations must be an integer'),
    ('iteration', 1, "'iteration' is not known and has no effect; did you mean iterations?"),
    ('iterations', None, 'iterations cannot be deleted'),
    ('input_transport', ['raw', 'theora'], 'input_transport'),
])
def test_what_changes_is_still_refused_where_it_cannot(parameters, name, value, reason):
    change = Parameter(name, value=value)
    alone, = result(parameters.set_parameters([change])).results
    second = result(parameters.set_parameters_atomically(
        [Parameter('overlay_alpha', value=0.25), change])).result
    for answer in (alone, second):
        assert not answer.successful and reason in answer.reason
