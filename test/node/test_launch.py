# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file's arguments reach the node; the files it names say what they should."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from ubcn_ros.node.middleware import FAST_DDS
from ubcn_ros.node.parameters import SPECS

ROOT = Path(__file__).parents[2]
LAUNCH_FILE = ROOT / 'launch' / 'ubcn.launch.py'
REPLAY = ROOT / 'launch' / 'replay.launch.py'


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


@pytest.fixture
def launch_file(monkeypatch):
    pytest.importorskip('launch_ros')
    for name in (*FAST_DDS, 'FASTDDS_BUILTIN_TRANSPORTS'):
        monkeypatch.delenv(name, raising=False)
    return load_launch_file(LAUNCH_FILE)


def load_launch_file(path):
    spec = importlib.util.spec_from_file_location('launch_file', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def set_up(launch_file, **arguments):
    """Return the actions for these arguments, with their context."""
    from launch import LaunchContext
    context = LaunchContext()
    context.launch_configurations.update(arguments)
    for argument in launch_file.ARGUMENTS:
        argument.execute(context)
    return launch_file.set_up(context), context


@pytest.mark.parametrize('name', ['ubcn.launch.py', 'multi_camera.launch.py'])
def test_every_parameter_is_an_argument_declared_once_and_described(launch_file, name):
    description = load_launch_file(ROOT / 'launch' / name).generate_launch_description()
    arguments = description.get_launch_arguments()
    names = [argument.name for argument in arguments]
    assert len(names) == len(set(names))
    assert {'image', 'camera_info', 'namespace', 'enclave', 'params_file', 'shared_memory', 'rviz',
            'use_sim_time', *(spec.name for spec in SPECS)} == set(names)
    assert all(len(argument.description) > 10 for argument in arguments)


def test_a_replay_has_arguments_of_its_own_and_those_of_the_node(launch_file):
    description = load_launch_file(REPLAY).generate_launch_description()
    names = [argument.name for argument in description.get_launch_arguments()]
    of_node = load_launch_file(LAUNCH_FILE).generate_launch_description().get_launch_arguments()
    own = {'bag', 'rate', 'start', 'loop', 'topics', 'exclude'}
    assert set(names) == {*own, *(argument.name for argument in of_node)}
    assert all(len(argument.description) > 10
               for argument in description.get_launch_arguments())


VALUES = [
    ('model', '2024', '2024'), ('device', 'cuda:1', 'cuda:1'), ('precision', 'bf16', 'bf16'),
    ('backend', 'onnxruntime', 'onnxruntime'), ('input_transport', 'compressed', 'compressed'),
    ('input_transport', 'raw,compressed', ['raw', 'compressed']),
    ('input_transport', '[raw, compressed]', ['raw', 'compressed']), ('cameras', '[]', ['']),
    ('warm_up_width', '0', 0), ('warm_up_height', '8192', 8192), ('autostart', 'false', False),
    ('autostart', 'True', True), ('allow_partial_model', 'true', True), ('fused', 'false', False),
    ('autotune', 'false', False),
    ('iterations', '2', 2), ('deadline_ms', '40', 40.0), ('min_confidence', '0.5', 0.5),
    ('convergence', '0.5', 0.5), ('processing_size', '720', 720),
    ('processing_size', '[720, 0]', [720, 0]),
    ('max_failures', '0', 0), ('overlay_alpha', '0.25', 0.25), ('use_sim_time', 'true', True)]


@pytest.mark.parametrize('name, text, value', VALUES)
def test_a_parameter_given_as_an_argument_reaches_the_node(launch_file, name, text, value):
    from launching import SINGLE, launch, parameters
    given = parameters(launch(SINGLE, **{name: text}))
    assert given[name] == value and type(given[name]) is type(value)


def test_every_parameter_is_tried_as_an_argument():
    assert {name for name, _, _ in VALUES} >= {spec.name for spec in SPECS}


@pytest.mark.parametrize('text', ['y', 'n', '1e3', '0o7', '1:30', 'nan', '.inf', '~', 'null',
                                  'a: #b', "it's", '"q"', 'C:\\\\x\\n', 'ünï', '2026-01-01'])
def test_strings_stay_strings_for_ros(launch_file, ros, text):
    from launching import SINGLE, launch
    name = text if text.isalpha() and text.isascii() else 'y'
    action = launch(SINGLE, model=text, cameras=f'{name},on', image='{camera}/image')
    files = [part for path, _ in action._Node__expanded_parameter_arguments
             for part in ('--params-file', str(path))]
    node = ros.create_node('ubcn', cli_args=['--ros-args', *files],
                           automatically_declare_parameters_from_overrides=True)
    try:
        assert node.get_parameter('model').value == text
        assert list(node.get_parameter('cameras').value) == [name, 'on']
    finally:
        node.destroy_node()


@pytest.mark.parametrize('sections', [
    ('/**', '/car/ubcn'), ('/car/ubcn', '/**'), ('/car/ubcn', '/car/*'), ('/**/ubcn', '/*/**')])
def test_an_argument_overrides_every_section_of_the_parameter_file(launch_file, ros, tmp_path,
                                                                   sections):
    from launching import SINGLE, launch, remappings
    file = tmp_path / 'robot.yaml'
    file.write_text(yaml.dump({section: {'ros__parameters': {
        'iterations': 3, 'overlay_alpha': 0.25, 'cameras': ['rear']}} for section in sections},
        sort_keys=False))
    action = launch(SINGLE, namespace='car', params_file=str(file), iterations='1',
                    cameras='front')
    files = [part for path, _ in action._Node__expanded_parameter_arguments
             for part in ('--params-file', str(path))]
    node = ros.create_node('ubcn', namespace='car', cli_args=['--ros-args', *files],
                           automatically_declare_parameters_from_overrides=True)
    try:
        assert [node.get_parameter(name).value for name in (
            'iterations', 'overlay_alpha', 'cameras')] == [1, 0.25, ['front']]
    finally:
        node.destroy_node()
    assert remappings(action) == {('front/image', 'front/image')}


@pytest.mark.parametrize('section, complaints', [
    ('ubcn', 1), ('/car/ubcm', 1), ('/*', 1), ('/car/ubcn', 0), ('/*/ubcn', 0), ('/**', 0)])
def test_a_parameter_file_for_other_nodes_alone_is_told(launch_file, tmp_path, section,
                                                        complaints):
    from launching import SINGLE, launch, warnings
    file = tmp_path / 'robot.yaml'
    file.write_text(yaml.dump({section: {'ros__parameters': {'iterations': 1}}}))
    with warnings() as texts:
        launch(SINGLE, namespace='car', params_file=str(file))
    name = f'/{section.lstrip("/")}'
    assert texts == [f"params_file:='{file}' has nothing for /car/ubcn, its sections are {name}: "
                     'name one /car/ubcn, or /** for all nodes'][:complaints]


@pytest.mark.parametrize('text', ['model: 2023-02-30', '[' * 5000, '{', '\0'],
                         ids=lambda text: text[:8])
def test_a_parameter_file_that_is_not_yaml_is_left_to_the_node(tmp_path, text):
    pytest.importorskip('launch_ros')
    from ubcn_ros.node.launch_arguments import value_of_file
    (tmp_path / 'robot.yaml').write_text(text)
    assert value_of_file(tmp_path / 'robot.yaml', '/', 'model') is None


def test_without_arguments_the_parameter_file_decides(launch_file):
    from launching import SINGLE, launch, parameters
    assert parameters(launch(SINGLE)) == yaml.safe_load(
        (ROOT / 'config' / 'ubcn.yaml').read_text())['/**']['ros__parameters']


@pytest.mark.parametrize('name, text, reason', [
    ('iterations', 'two', "iterations must be an integer, like 3; got 'two'"),
    ('iterations', '11', 'iterations must be 1 to 10, got 11'),
    ('iterations', '2.5', "iterations must be an integer, like 3; got '2.5'"),
    ('autostart', 'yes', "autostart must be true or false; got 'yes'"),
    ('use_sim_time', '1', "use_sim_time must be true or false; got '1'"),
    ('overlay_alpha', '2', 'overlay_alpha must be 0 to 1, got 2.0'),
    ('deadline_ms', 'nan', 'deadline_ms must be 0 to 10000, got nan'),
    ('device', 'gpu', "device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
    ('cameras', '[front', 'cameras must be a list of names'),
    ('cameras', 'front,/left', 'cameras must be a list of names'),
    ('input_transport', 'raw,theora', 'input_transport must be one of raw, compressed, or a list'),
])
def test_a_value_that_the_node_would_refuse_names_argument_value_and_what_is_allowed(
        launch_file, name, text, reason):
    from launching import SINGLE, launch
    with pytest.raises(RuntimeError) as caught:
        launch(SINGLE, **{name: text})
    message = str(caught.value)
    assert message.startswith(f"argument {name}:='{text}': {reason}") and '\n' not in message


@pytest.mark.parametrize('path', ['/nowhere/robot.yaml', '/', ''])
def test_a_parameter_file_that_is_missing_is_named(launch_file, path):
    from launching import SINGLE, launch
    with pytest.raises(RuntimeError, match=f"argument params_file:='{path}' is not a file: give"):
        launch(SINGLE, params_file=path)


@pytest.mark.parametrize('name', ['ubcn.launch.py', 'multi_camera.launch.py',
                                  'replay.launch.py'])
def test_a_tilde_that_the_shell_left_is_the_home_folder(launch_file, tmp_path, monkeypatch, name):
    from launching import launch, parameters
    from ros_client import picture

    from ubcn_ros.bags import create
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'robot.yaml').write_text('/**: {ros__parameters: {iterations: 2}}')
    create([picture()], tmp_path / 'bag', '/camera/image_raw')
    given = {'bag': '~/bag', 'rviz': 'false'} if name == 'replay.launch.py' else {}
    action = launch(ROOT / 'launch' / name, params_file='~/robot.yaml', **given)
    assert parameters(action)['iterations'] == 2


def test_transports_that_do_not_fit_the_cameras_are_told_before_the_node_starts(launch_file):
    from launching import SINGLE, launch
    with pytest.raises(RuntimeError, match="argument input_transport:='raw,raw': input_transport "
                       r'lists 2 \(raw, raw\) for 3 cameras: give'):
        launch(SINGLE, input_transport='raw,raw', cameras='a,b,c', image='{camera}/image')
    launch(SINGLE, input_transport='raw,raw')  # the cameras may be those of the parameter file


def test_camera_info_is_remapped_only_where_it_is_given(launch_file):
    from launching import SINGLE, launch, remappings
    assert remappings(launch(SINGLE, image='/camera/image_raw')) == {
        ('image', '/camera/image_raw')}
    assert remappings(launch(SINGLE, image='/a/{camera}/raw', camera_info='/c/{camera}',
                             cameras='front, left')) == {
        ('front/image', '/a/front/raw'), ('left/image', '/a/left/raw'),
        ('front/camera_info', '/c/front'), ('left/camera_info', '/c/left')}


def test_an_enclave_is_given_to_the_node_where_the_argument_names_one(launch_file):
    from launching import SINGLE, launch

    def words(**arguments):
        return [part.text for word in launch(SINGLE, **arguments).cmd for part in word
                if hasattr(part, 'text')]

    given = words(enclave='/ubcn')
    place = given.index('--enclave')
    assert given[place - 1:place + 2] == ['--ros-args', '--enclave', '/ubcn']
    assert '--enclave' not in words()


PARENT = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description():
    return LaunchDescription([
        DeclareLaunchArgument('image_topic', default_value='/camera/image_raw'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource({path!r}),
                                 launch_arguments={given!r}.items())])
"""


@pytest.mark.parametrize('name', ['ubcn.launch.py', 'multi_camera.launch.py'])
def test_an_unknown_argument_is_an_error_where_the_file_is_launched_by_itself(launch_file, name):
    from launching import launch
    with pytest.raises(RuntimeError, match="'iteration' is not known .*did you mean iterations"):
        launch(ROOT / 'launch' / name, iteration='2')
    with pytest.raises(RuntimeError, match="'zzz' is not known .*; known are image, "):
        launch(ROOT / 'launch' / name, zzz='2')
    launch(ROOT / 'launch' / name, iterations='2', **{'launch-prefix': 'nice'})


@pytest.mark.parametrize('name', ['ubcn.launch.py', 'multi_camera.launch.py'])
def test_an_unknown_argument_of_an_included_file_is_a_warning(launch_file, tmp_path, name):
    from launching import launch, parameters, warnings
    parent = tmp_path / 'robot.launch.py'
    parent.write_text(PARENT.format(path=str(ROOT / 'launch' / name),
                                    given={'iteration': '1', 'overlay_alpha': '0.25'}))
    with warnings() as texts:
        assert parameters(launch(parent, image_topic='/other'))['overlay_alpha'] == 0.25
    assert texts == ["argument 'iteration' is not one of ubcn.launch.py; did you mean iterations?"]
    parent.write_text(PARENT.format(path=str(ROOT / 'launch' / name), given={'iterations': '1'}))
    with warnings() as texts:
        assert parameters(launch(parent))['iterations'] == 1
    assert not texts, 'image_topic is an argument of the parent'


def test_arguments_of_an_including_file_that_cannot_be_seen_are_not_complained_of(launch_file):
    from launch.events import IncludeLaunchDescription, Shutdown

    from launch import LaunchContext, LaunchDescription
    from ubcn_ros.node.launch_arguments import unknown_arguments
    context = LaunchContext()
    context.launch_configurations.update(
        image='/image', vehicle='x', use_rviz='true', rvis='true')
    for event, complaints in ((Shutdown(), 0), (IncludeLaunchDescription(LaunchDescription()), 1)):
        context.extend_locals({'event': event})
        texts = unknown_arguments(context, LAUNCH_FILE.parent, ['image', 'device', 'rviz'])
        assert texts == ["argument 'rvis' is not one of ubcn.launch.py; did you mean rviz?"
                         ][:complaints]


@pytest.mark.parametrize('name', ['ubcn.launch.py', 'multi_camera.launch.py',
                                  'replay.launch.py'])
def test_nothing_of_an_included_file_reaches_the_including_one(launch_file, tmp_path, name):
    from launch.actions import DeclareLaunchArgument
    from launching import carry_out, include
    from ros_client import picture

    from launch import LaunchDescription
    from ubcn_ros.bags import create
    create([picture()], tmp_path / 'bag', '/front/image')
    given = {'bag': str(tmp_path / 'bag')} if name == 'replay.launch.py' else {}
    environment = dict(os.environ)
    _, context = carry_out(LaunchDescription([
        DeclareLaunchArgument('image', default_value='{camera}/image'),
        DeclareLaunchArgument('cameras', default_value='front'),
        include(ROOT / 'launch' / name, iterations='1', **given),
        DeclareLaunchArgument('params_file', default_value='/opt/nav2_params.yaml'),
        DeclareLaunchArgument('use_sim_time', default_value='false')]))
    assert context.launch_configurations == {
        'image': '{camera}/image', 'cameras': 'front', 'iterations': '1', **given,
        'params_file': '/opt/nav2_params.yaml', 'use_sim_time': 'false'}
    assert os.environ == environment


def test_a_file_included_after_another_of_ours_takes_nothing_of_it(launch_file):
    from launching import SEVERAL, SINGLE, carry_out, include, remappings

    from launch import LaunchDescription
    nodes, _ = carry_out(LaunchDescription([
        include(SEVERAL, namespace='rig'), include(SINGLE, namespace='rear')]))
    rig, rear = map(remappings, nodes)
    assert len(rig) == 3 and rear == {('image', 'image')}


def test_two_cameras_of_different_arguments_are_included_in_groups(launch_file, tmp_path):
    """As launch/README.md says: what is given to one stays with it."""
    from launch.actions import GroupAction
    from launching import SINGLE, carry_out, include, parameters, remappings

    from launch import LaunchDescription
    file = tmp_path / 'left.yaml'
    file.write_text('/**: {ros__parameters: {overlay_alpha: 0.25}}')
    given = [{'image': f'/{name}/image_raw', 'namespace': name} for name in ('left', 'right')]
    given[0] |= {'iterations': '1', 'params_file': str(file), 'camera_info': '/left/info'}
    (left, right), _ = carry_out(LaunchDescription([
        GroupAction([include(SINGLE)], scoped=True, forwarding=False,
                    launch_configurations=arguments) for arguments in given]))
    assert (left.node_name, right.node_name) == ('/left/ubcn', '/right/ubcn')
    assert parameters(left) == {'overlay_alpha': 0.25, 'iterations': 1}
    assert remappings(right) == {('image', '/right/image_raw')}
    assert parameters(right) == yaml.safe_load(
        (ROOT / 'config' / 'ubcn.yaml').read_text())['/**']['ros__parameters']


RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
service = LaunchService(argv=sys.argv[2:])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    AnyLaunchDescriptionSource(sys.argv[1]),
    launch_arguments=[item.split(':=') for item in sys.argv[2:]])]))
sys.exit(service.run())
"""


def start_launch(*arguments, file=LAUNCH_FILE, **options):
    """Start what `ros2 launch` does, as a process group."""
    return subprocess.Popen(
        [sys.executable, '-c', RUN, str(file), *arguments],
        stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [
            str(ROOT), os.environ.get('PYTHONPATH')]))}, **options)


@pytest.mark.parametrize('argument, text', [
    ('iteration:=2', 'did you mean iterations?'), ('iterations:=two', 'must be an integer')])
def test_a_launch_with_a_wrong_argument_fails_with_one_line(launch_file, argument, text):
    process = start_launch(argument, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    line, = (line for line in output.splitlines() if '[ERROR]' in line)
    assert text in line and 'Traceback' not in output and 'process started' not in output


@pytest.mark.integration
def test_arguments_reach_a_node_that_processes_images(launch_file, client, tiny_model, tmp_path):
    from rcl_interfaces.srv import GetParameters
    from ros_client import image_message, wait_until
    log, params_file = tmp_path / 'launch.log', tmp_path / 'dumped.yaml'
    # as ros2 param dump names the node
    params_file.write_text(yaml.dump({'/front/ubcn': {'ros__parameters': {
        'iterations': 3, 'overlay_alpha': 0.25, 'warm_up_width': 64, 'warm_up_height': 48}}}))
    with open(log, 'wb') as file:
        process = start_launch(
            'image:=/camera/image_raw', 'namespace:=front', 'iterations:=2', 'device:=cpu',
            f'model:={tiny_model}', f'params_file:={params_file}', stdout=file)
    try:
        def active():
            assert process.poll() is None and 'has died' not in log.read_text(), log.read_text()
            return 'active: waiting for images on /camera/image_raw' in log.read_text()

        wait_until(active, 'the node to be active', timeout=60.0)
        outputs = client.record('/front/derained/image_raw')

        def answered():
            client.publisher('/camera/image_raw').publish(image_message(7))
            time.sleep(0.1)
            return outputs

        wait_until(answered, 'an output')
        assert outputs[0].header.stamp.sec == 7
        values = client.call(GetParameters, '/front/ubcn/get_parameters',
                           GetParameters.Request(names=['iterations', 'model',
                                                        'overlay_alpha'])).values
        assert (values[0].integer_value, values[1].string_value) == (2, str(tiny_model))
        assert values[2].double_value == 0.25
        assert client.node.count_subscribers('/camera/camera_info') == 1
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(20) == 0
        assert 'process has finished cleanly' in log.read_text()
        assert 'escalating' not in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize('arguments, text', [
    (['bag:=/nowhere/bag'], "argument bag:='/nowhere/bag': no bag at /nowhere/bag"),
    (['bag:=bag', 'iterations:=11'], 'iterations must be 1 to 10'),
    (['bag:=bag', 'rate:=0'], "rate:='0' must be a number, 0.001 or more"),
    (['bag:=bag', 'start:=soon'], "start:='soon' must be a number, 0 or more"),
    (['bag:=bag', 'params_file:=two.yaml'], 'image is not given: with cameras'),
    (['bag:=bag', 'rats:=2'], 'did you mean rate?')], ids=str)
def test_a_replay_that_cannot_be_fails_with_one_line(launch_file, arguments, text, tmp_path):
    from ros_client import picture

    from ubcn_ros.bags import create
    create([picture()], tmp_path / 'bag')
    (tmp_path / 'two.yaml').write_text('/**: {ros__parameters: {cameras: [front, left]}}')
    arguments = [re.sub(':=(bag|two.yaml)$', f':={tmp_path}/\\1', word) for word in arguments]
    process = start_launch(*arguments, file=REPLAY, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=120)
    line, = (line for line in output.splitlines() if '[ERROR]' in line)
    assert process.returncode == 1 and 'Traceback' not in output and text in line


def test_a_replay_below_a_pushed_namespace_finds_the_images_of_the_bag(launch_file, tmp_path):
    from launching import launch, remappings
    from ros_client import picture

    from ubcn_ros.bags import create
    create([picture()], tmp_path / 'bag', '/car/camera/image_raw')
    action = launch(REPLAY, bag=str(tmp_path / 'bag'), image='camera/image_raw', rviz='false',
                    ros_namespace='/car')
    assert remappings(action) == {('image', 'camera/image_raw')}
    assert action.node_name == '/car/ubcn'


@pytest.fixture
def replay_handlers(launch_file, tmp_path):
    """Handlers of events that a replay of a small bag registers, by these arguments."""
    from launch.actions import RegisterEventHandler
    from ros_client import picture

    from ubcn_ros.bags import create
    create([picture()], tmp_path / 'bag')

    def register(**arguments):
        actions, context = set_up(load_launch_file(REPLAY),
                                  **{'bag': str(tmp_path / 'bag'), **arguments})
        return [action.event_handler for action in actions
                if isinstance(action, RegisterEventHandler)], context
    return register


def player_of(handlers, context, *texts):
    """Say that the node is active; return the player that is to start, None for none."""
    started = []
    for pid, text in texts or ((1, '[ubcn]: active: waiting for images on /image'),):
        event = said(pid, text)
        started += [action for handler in handlers if handler.matches(event)
                    for action in handler.handle(event, context) or ()]
    return started[0] if started else None


def said(pid, text):
    from launch.events.process import ProcessStdout
    return ProcessStdout(text=text.encode(), action=None, name=f'process-{pid}', cmd=[], cwd=None,
                         env=None, pid=pid)


@pytest.mark.parametrize('texts, starts', [
    ([(1, 'loading\n[ubcn]: active: wai'), (1, 'ting for im'), (1, 'ages on /image\n')], True),
    ([(1, 'active: waiting for'), (2, '[rviz2]: Stereo'), (1, ' images')], True),
    ([(1, 'active: waiting for'), (2, ' images')], False), ([(1, 'loading')], False)], ids=str)
def test_the_player_starts_when_the_node_has_said_all_of_it(replay_handlers, texts, starts):
    assert bool(player_of(*replay_handlers(), *texts)) == starts


@pytest.mark.parametrize('shared_memory', [None, 'true', 'false'])
def test_the_player_gets_the_profile_too(replay_handlers, shared_memory):
    from launching import variables
    given = {} if shared_memory is None else {'shared_memory': shared_memory}
    player = player_of(*replay_handlers(**given))
    assert set(variables(player)) == (set() if shared_memory == 'false' else set(FAST_DDS))


@pytest.mark.parametrize('package, named, program', [
    ('ros2bag', 'bag', 'ros2'), ('ros2bag', 'bag/bag_0.mcap', sys.executable),
    ('rviz2', 'bag', sys.executable)])
def test_the_player_is_one_that_is_installed_and_plays_the_bag(replay_handlers, rviz_installed,
                                                               tmp_path, package, named, program):
    installed, = tmp_path.rglob('rviz2')
    installed.rename(installed.with_name(package))
    player = player_of(*replay_handlers(bag=str(tmp_path / named)))
    assert player.cmd[0][0].text == program


@pytest.mark.parametrize('loop', ['true', 'True', 'false', 'False'])
def test_switches_of_a_replay_are_written_in_two_ways(replay_handlers, tmp_path, loop):
    from launching import launch, parameters
    player = player_of(*replay_handlers(loop=loop))
    words = [part.text for word in player.cmd for part in word]
    assert ('--loop' in words) == (loop.lower() == 'true')
    node = launch(REPLAY, bag=str(tmp_path / 'bag'), use_sim_time=loop, rviz='False')
    assert parameters(node)['use_sim_time'] == (loop.lower() == 'true')


def exited(code, action):
    from launch.events.process import ProcessExited
    return ProcessExited(returncode=code, action=action, name='process-1', cmd=[], cwd=None,
                         env=None, pid=1)


@pytest.mark.parametrize('code', [0, 1])
def test_a_replay_ends_where_the_node_does(replay_handlers, rviz_installed, code):
    from launching import SINGLE, launch_all
    handlers, context = replay_handlers()
    node, rviz = launch_all(SINGLE, rviz='true', namespace='car')

    def end(action):
        for handler in handlers:
            if handler.matches(exited(code, action)):
                handler.handle(exited(code, action), context)

    end(rviz)
    for starts in (False, True):
        assert not starts or player_of(handlers, context)
        with pytest.raises(RuntimeError, match=f'the node ended with exit code {code}: see what'):
            end(node)
    context._set_is_shutdown(True)
    end(node)  # as on Ctrl-C


@pytest.mark.parametrize('rviz', ['true', 'false'])
def test_the_end_of_the_bag_is_said_and_ends_a_replay_without_rviz(replay_handlers, rviz):
    handlers, context = replay_handlers(rviz=rviz)
    player = player_of(handlers, context)

    def end(code):
        event = exited(code, player)
        return player._ExecuteLocal__on_exit(event, context) or []

    said, *others = end(0)
    assert 'The bag has ended' in said.msg[0].text
    assert ('Ctrl-C' in said.msg[0].text) == (rviz == 'true')
    assert [type(action.actions[0]).__name__ for action in others] == (
        [] if rviz == 'true' else ['Shutdown'])
    with pytest.raises(RuntimeError, match='the player ended with exit code 1'):
        end(1)
    context._set_is_shutdown(True)
    assert not end(0) and not end(130)


@pytest.mark.integration
def test_a_replay_whose_node_fails_ends_with_an_error(launch_file, tmp_path):
    from ros_client import picture

    from ubcn_ros.bags import create
    create([picture()], tmp_path / 'bag')
    process = start_launch(f'bag:={tmp_path / "bag"}', 'rviz:=false', 'model:=missing',
                           file=REPLAY, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and 'Traceback' not in output
    assert '[ERROR] [launch]' in output
    assert 'the node ended with exit code 1: see what it says above' in output


@pytest.mark.integration
def test_a_replay_plays_the_bag_to_a_node_that_goes_by_its_time(launch_file, client, tiny_model,
                                                                tmp_path):
    from ros_client import picture, wait_until

    from ubcn_ros.bags import create
    create([picture() for _ in range(20)], tmp_path / 'bag', '/cam/image_raw', compressed=True)
    log = tmp_path / 'launch.log'
    with open(log, 'wb') as file:
        process = start_launch(
            f'bag:={tmp_path / "bag"}', 'loop:=true', 'rviz:=false', f'model:={tiny_model}',
            'device:=cpu', 'iterations:=1', 'warm_up_width:=64', 'warm_up_height:=48',
            file=REPLAY, stdout=file)
    try:
        outputs = client.record('/derained/image_raw')

        def answered():
            assert process.poll() is None and 'has died' not in log.read_text(), log.read_text()
            return len(outputs) > 2

        wait_until(answered, 'outputs', 120.0)
        assert all(1 <= o.header.stamp.sec + o.header.stamp.nanosec / 1e9 < 2.4 for o in outputs)
        from rcl_interfaces.srv import GetParameters
        value, = client.call(GetParameters, '/ubcn/get_parameters',
                             GetParameters.Request(names=['use_sim_time'])).values
        assert value.bool_value
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(120) == 0
        assert 'Stopped by SIGINT' in log.read_text() and 'Traceback' not in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_node_and_rviz_alone_get_the_profile_unless_there_is_one(launch_file, rviz_installed,
                                                                 monkeypatch):
    from launching import SINGLE, carry_out, include, variables

    from launch import LaunchDescription

    def given(**arguments):
        environment = dict(os.environ)
        nodes, _ = carry_out(LaunchDescription([include(SINGLE, rviz='true', **arguments)]))
        node, rviz = map(variables, nodes)
        assert node == rviz and os.environ == environment
        return node

    ours = str(ROOT / 'config' / 'fastdds.xml')
    assert given() == dict.fromkeys(FAST_DDS, ours)  # Fast DDS 2 and 3 read one each
    assert given(shared_memory='True') == given()
    assert not given(shared_memory='false') and not given(shared_memory='False')
    for name in FAST_DDS:
        with monkeypatch.context() as patched:
            patched.setenv(name, '/their/profile.xml')
            assert [*given().values()] == ['/their/profile.xml']  # the other, to theirs
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
    for discovery_range, overrides in (('SUBNET', False), ('LOCALHOST', True)):
        monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', discovery_range)
        assert bool(given()) == overrides


@pytest.mark.parametrize('arguments, expected', [
    ({'image': 'camera/raw'}, {'/image': '/camera/raw'}),
    ({'image': 'camera/raw', 'namespace': 'car'},
     {'/image': '/car/camera/raw', '/labels/color': '/car/labels/color'}),
    ({'image': 'camera/raw', 'namespace': 'left', 'ros_namespace': '/car'},
     {'/image': '/car/left/camera/raw', '/labels/color': '/car/left/labels/color'}),
    ({'image': '{camera}/raw', 'namespace': 'car', 'cameras': 'front,left'},
     {'/image': '/car/front/raw', '/labels/color': '/car/front/labels/color'}),
    ({'image': '/rig/{camera}', 'cameras': 'front,left'},
     {'/image': '/rig/front', '/labels/color': '/front/labels/color'}),
], ids=str)
def test_rviz_is_led_to_the_outputs_of_the_first_camera(launch_file, rviz_installed, arguments,
                                                        expected):
    from launching import SINGLE, launch_all, remappings
    _, rviz = launch_all(SINGLE, rviz='True', **arguments)
    topics = dict(remappings(rviz))
    assert topics.items() >= expected.items()
    assert len(topics) == (4 if len(expected) > 1 else 1)


@pytest.fixture
def rviz_installed(monkeypatch, tmp_path):
    """Environment where nothing but RViz is installed."""
    installed = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    installed.mkdir(parents=True)
    (installed / 'rviz2').touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))


@pytest.mark.parametrize('argument, in_file, compressed', [
    ('compressed', 'raw', True), ('', 'compressed', True), ('', ['compressed', 'raw'], True),
    ('raw,compressed', 'compressed', False), ('', 'raw', False)], ids=str)
def test_rviz_shows_compressed_images_where_the_first_camera_has_them(
        launch_file, rviz_installed, monkeypatch, tmp_path, argument, in_file, compressed):
    from launching import SINGLE, launch_all, remappings
    (tmp_path / 'log').mkdir()
    monkeypatch.setattr('launch.logging.launch_config._log_dir', str(tmp_path / 'log'))
    file = tmp_path / 'robot.yaml'
    file.write_text(yaml.dump({'/**': {'ros__parameters': {
        'cameras': ['front', 'left'], 'input_transport': in_file}}}))
    _, rviz = launch_all(SINGLE, rviz='true', image='/rig/{camera}', params_file=str(file),
                         input_transport=argument)
    layout = yaml.safe_load(Path(rviz._Node__arguments[1]).read_text())
    assert len([*(tmp_path / 'log').iterdir()]) == compressed
    shown = [display['Topic']['Value'] for display in layout['Visualization Manager']['Displays']]
    assert shown[0] == ('/image/compressed' if compressed else '/image')
    # by the version of image_transport, its name or the one below it is resolved
    assert ('/image', '/rig/front') in remappings(rviz)
    assert (('/image/compressed', '/rig/front/compressed') in remappings(rviz)) == compressed


def test_rviz_that_is_not_installed_is_told(launch_file, monkeypatch, tmp_path):
    from launching import SINGLE, launch
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    launch(SINGLE, rviz='true')  # the node alone
    for distribution, package in (('humble', 'ros-humble-rviz2'), ('', 'ros-jazzy-rviz2')):
        monkeypatch.setenv('ROS_DISTRO', distribution)
        said = [action.msg[0].text for action in set_up(launch_file, rviz='true')[0]
                if type(action).__name__ == 'LogInfo']
        assert said == [f'rviz:=true, but rviz2 is not installed: sudo apt install {package}']
