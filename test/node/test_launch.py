# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file's arguments reach the node; the files it names say what they should."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LAUNCH_FILE = ROOT / 'launch' / 'ubcn.launch.py'


def test_the_fast_dds_profile_is_the_default_and_holds_several_frames():
    tree = ElementTree.parse(ROOT / 'config' / 'fastdds.xml')
    name = {'dds': 'http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles'}
    segment = int(tree.find('.//dds:segment_size', name).text)
    assert segment >= 4 * 2048 * 1024 * 3
    assert tree.find('.//dds:participant', name).get('is_default_profile') == 'true'
    used = {item.text for item in tree.findall('.//dds:userTransports/dds:transport_id', name)}
    described = {item.text for item
                 in tree.findall('.//dds:transport_descriptor/dds:transport_id', name)}
    assert used == described


def test_the_rviz_layout_shows_the_four_images():
    layout = yaml.safe_load((ROOT / 'config' / 'ubcn.rviz').read_text())
    displays = layout['Visualization Manager']['Displays']
    assert [display['Topic']['Value'] for display in displays] == \
        ['/image', '/derained/image_raw', '/labels/color', '/overlay/image_raw']
    assert {display['Class'] for display in displays} == {'rviz_default_plugins/Image'}


@pytest.fixture
def launch_file(monkeypatch):
    pytest.importorskip('launch_ros')
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE', raising=False)
    spec = importlib.util.spec_from_file_location('ubcn_launch', LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def set_up(launch_file, **arguments):
    """Return the actions for these arguments, with their context."""
    from launch import LaunchContext
    context = LaunchContext()
    for argument in launch_file.ARGUMENTS:
        argument.execute(context)
    context.launch_configurations.update(arguments)
    return launch_file.set_up(context), context


def test_every_argument_is_declared_once_and_described(launch_file):
    arguments = launch_file.generate_launch_description().get_launch_arguments()
    names = [argument.name for argument in arguments]
    assert len(names) == len(set(names))
    assert {'cameras', 'image', 'camera_info', 'namespace', 'model', 'device', 'iterations',
            'params_file', 'shared_memory', 'autostart', 'rviz'} == set(names)
    assert all(len(argument.description) > 10 for argument in arguments)


@pytest.mark.integration
def test_arguments_reach_a_node_that_processes_images(launch_file, peer, tiny_model, tmp_path):
    from rcl_interfaces.srv import GetParameters
    from ros_peer import image_message, wait_until
    log = tmp_path / 'launch.log'
    run = ('import sys\nfrom launch import LaunchService\n'
           'from launch.actions import IncludeLaunchDescription\n'
           'from launch.launch_description_sources import PythonLaunchDescriptionSource\n'
           'from launch import LaunchDescription\n'
           'service = LaunchService()\n'
           'service.include_launch_description(LaunchDescription([IncludeLaunchDescription(\n'
           '    PythonLaunchDescriptionSource(sys.argv[1]),\n'
           "    launch_arguments=[item.split(':=') for item in sys.argv[2:]])]))\n"
           'sys.exit(service.run())\n')
    with open(log, 'wb') as file:
        process = subprocess.Popen(
            [sys.executable, '-c', run, str(LAUNCH_FILE), 'image:=/camera/image_raw',
             'namespace:=front', 'iterations:=2', f'model:={tiny_model}', 'device:=cpu'],
            stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [
                str(ROOT), os.environ.get('PYTHONPATH')]))})
    try:
        def active():
            assert process.poll() is None and 'has died' not in log.read_text(), log.read_text()
            return 'active: waiting for images on /camera/image_raw' in log.read_text()

        wait_until(active, 'the node to be active', timeout=60.0)
        outputs = peer.record('/front/derained/image_raw')

        def answered():
            peer.publisher('/camera/image_raw').publish(image_message(7))
            time.sleep(0.1)
            return outputs

        wait_until(answered, 'an output')
        assert outputs[0].header.stamp.sec == 7
        values = peer.call(GetParameters, '/front/ubcn/get_parameters',
                           GetParameters.Request(names=['iterations', 'model'])).values
        assert (values[0].integer_value, values[1].string_value) == (2, str(tiny_model))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(20) == 0
        assert 'process has finished cleanly' in log.read_text()
        assert 'escalating' not in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_profile_is_set_unless_there_is_one(launch_file, monkeypatch):
    from launch.actions import SetEnvironmentVariable

    def sets(**arguments):
        actions, _ = set_up(launch_file, **arguments)
        return any(isinstance(action, SetEnvironmentVariable) for action in actions)

    assert sets()
    assert not sets(shared_memory='false')
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '/their/profile.xml')
    assert not sets()


def test_iterations_must_be_an_integer(launch_file):
    with pytest.raises(RuntimeError, match="iterations:='two' is no integer"):
        set_up(launch_file, iterations='two')


@pytest.mark.parametrize('names, image, expected', [
    (['', ''], 'camera/raw', {'/image': '/camera/raw'}),
    (['car', ''], 'camera/raw', {'/image': '/car/camera/raw',
                                 '/labels/color': '/car/labels/color'}),
    (['car', 'front'], 'front/raw', {'/image': '/car/front/raw',
                                     '/labels/color': '/car/front/labels/color'}),
    (['', 'front'], '/rig/front', {'/image': '/rig/front',
                                   '/labels/color': '/front/labels/color'}),
], ids=str)
def test_rviz_is_led_to_the_outputs_of_the_first_camera(launch_file, monkeypatch, names, image,
                                                        expected):
    monkeypatch.setattr(launch_file, 'get_package_prefix', lambda name: '/opt')
    monkeypatch.setattr(launch_file, 'Node', lambda **options: options)
    topics = dict(launch_file._rviz(names, image)['remappings'])
    assert topics.items() >= expected.items()
    assert len(topics) == (4 if any(names) else 1)
