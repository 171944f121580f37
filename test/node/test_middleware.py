# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings that are too small for the images are named, with what to set."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ubcn_ros.node.middleware import (
    FAST_DDS,
    Host,
    ImageLoad,
    builtin_transports,
    explain_room,
    fast_dds_profile,
    profile_segment,
)

CONFIG = Path(__file__).parents[2] / 'config'
FULL_HD, SMALL = ImageLoad(1920, 1080, 1, 5), ImageLoad(160, 120, 1, 5)
SIX = ImageLoad(1920, 1080, 6, 5)
FAST, CYCLONE, ZENOH = 'rmw_fastrtps_cpp', 'rmw_cyclonedds_cpp', 'rmw_zenoh_cpp'
OURS = {FAST: {'FASTRTPS_DEFAULT_PROFILES_FILE': str(CONFIG / 'fastdds.xml')},
        CYCLONE: {'CYCLONEDDS_URI': f'file://{CONFIG / "cyclonedds.xml"}'},
        ZENOH: {'ZENOH_SESSION_CONFIG_URI': str(CONFIG / 'zenoh.json5')}}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A machine with memory and socket buffers to spare, or as much of them as `set` says."""
    limit, memory = tmp_path / 'rmem_max', {}

    def set_limits(receive_buffer=2**30, shared_memory=2**40):
        limit.write_text(f'{receive_buffer}\n')
        memory['blocks'] = shared_memory // 4096

    monkeypatch.setattr(os, 'statvfs', lambda path: SimpleNamespace(
        f_frsize=4096, f_blocks=memory['blocks']))
    set_limits()
    return SimpleNamespace(limits=Host(tmp_path, limit), set=set_limits)


def test_what_an_image_needs():
    assert FULL_HD.image == FULL_HD.received == 1920 * 1080 * 3
    assert SIX.sent == 30 * FULL_HD.image and SIX.received == 6 * FULL_HD.image


@pytest.mark.parametrize('rmw, told', [
    (FAST, 'as FASTRTPS_DEFAULT_PROFILES_FILE is not set, segment_size is 0.5 MiB. Set '
     'FASTRTPS_DEFAULT_PROFILES_FILE to config/fastdds.xml, for the camera driver, too'),
    (CYCLONE, 'as CYCLONEDDS_URI is not set, SocketReceiveBufferSize is 1.0 MiB: set '
     'CYCLONEDDS_URI to config/cyclonedds.xml'),
    (ZENOH, 'go through TCP, as neither ZENOH_SESSION_CONFIG_URI nor ZENOH_CONFIG_OVERRIDE is '
     'set: set the first to config/zenoh.json5')])
def test_defaults_are_too_small_and_the_files_of_config_mend_that(host, rmw, told):
    text = explain_room(rmw, FULL_HD, {}, host.limits)
    assert told in text and '1920x1080, 5.9 MiB an image' in text and '\n' not in text
    assert explain_room(rmw, FULL_HD, OURS[rmw], host.limits) == ''


def test_more_cameras_need_more(host):
    text = explain_room(FAST, SIX, OURS[FAST], host.limits)
    assert re.search(r'segment_size in \S+fastdds.xml is 64.0 MiB. Set '
                     'FASTRTPS_DEFAULT_PROFILES_FILE to a copy with 186624000 or more in it', text)
    assert '178.0 MiB is needed (6 cameras of 1920x1080' in text
    assert explain_room(FAST, ImageLoad(1920, 1080, 2, 5), OURS[FAST], host.limits) == ''


@pytest.mark.parametrize('rmw, environment', [
    (CYCLONE, {'CYCLONEDDS_URI': '<CycloneDDS/>'}),
    (ZENOH, {'ZENOH_SESSION_CONFIG_URI': '/missing.json5'}),
    (ZENOH, {'ZENOH_CONFIG_OVERRIDE': 'transport/shared_memory/enabled=true'})])
def test_a_configuration_of_the_user_s_is_not_checked(host, rmw, environment):
    assert explain_room(rmw, SIX, environment, host.limits) == ''


@pytest.mark.parametrize('rmw', [FAST, CYCLONE])
def test_small_images_need_nothing(host, rmw):
    assert explain_room(rmw, SMALL, {}, host.limits) == ''


@pytest.mark.parametrize('rmw', [FAST, CYCLONE, ZENOH, 'rmw_connextdds'])
def test_nothing_is_said_of_an_unknown_size(host, rmw):
    assert explain_room(rmw, ImageLoad(0, 0, 2, 5), {}, host.limits) == ''


def test_the_kernel_s_limit_is_named_with_its_command(host):
    host.set(receive_buffer=212992)
    text = explain_room(CYCLONE, FULL_HD, OURS[CYCLONE], host.limits)
    assert 'net.core.rmem_max is 0.2 MiB: sudo sysctl -w net.core.rmem_max=6220800' in text
    assert 'SocketReceiveBufferSize' not in text


def test_a_container_s_shared_memory_is_named_with_its_option(host):
    host.set(shared_memory=64 * 2**20)
    text = explain_room(FAST, FULL_HD, OURS[FAST], host.limits)
    assert 'holds 64.0 MiB' in text and '--shm-size=256m' in text


@pytest.mark.parametrize('builtin, silent', [
    ('UDPv4', True), ('LARGE_DATA', True), ('LARGE_DATA?max_msg_size=1MB', True), ('SHM', False),
    ('DEFAULT', False)])
def test_other_transports_of_fast_dds_have_no_segment(host, builtin, silent):
    text = explain_room(FAST, FULL_HD, {'FASTDDS_BUILTIN_TRANSPORTS': builtin}, host.limits)
    assert (text == '') == silent


@pytest.mark.parametrize('distribution, read', [('jazzy', 0), ('kilted', 1), ('lyrical', 1)])
def test_the_variable_that_this_fast_dds_does_not_read_gives_no_room(host, distribution, read):
    profile, environment = str(CONFIG / 'fastdds.xml'), {'ROS_DISTRO': distribution}
    right, wrong = FAST_DDS[read], FAST_DDS[1 - read]
    assert explain_room(FAST, FULL_HD, {**environment, right: profile}, host.limits) == ''
    text = explain_room(FAST, FULL_HD, {**environment, wrong: profile}, host.limits)
    assert f'as {right} is not set' in text and f'Set {right} to config/fastdds.xml' in text


def test_a_profile_of_the_user_s_stands_for_both_variables():
    first, second = FAST_DDS
    ours = Path('/ours.xml')
    assert fast_dds_profile({}, ours) == {first: '/ours.xml', second: '/ours.xml'}
    assert fast_dds_profile({first: '/theirs.xml'}, ours) == {second: '/theirs.xml'}
    assert fast_dds_profile({second: '/theirs.xml'}, ours) == {first: '/theirs.xml'}
    assert fast_dds_profile({first: '/a.xml', second: '/b.xml'}, ours) == {}


@pytest.mark.parametrize('builtin, ours', [
    ('', True), ('DEFAULT', True), ('UDPv4', False), ('LARGE_DATA', False),
    ('LARGE_DATA?max_msg_size=1MB', False), ('SHM', False)])
def test_transports_of_the_user_s_are_not_overridden(builtin, ours):
    environment = {'FASTDDS_BUILTIN_TRANSPORTS': builtin}
    assert bool(fast_dds_profile(environment, Path('/ours.xml'))) == ours
    first, second = FAST_DDS  # a profile is the user's, too
    assert fast_dds_profile({**environment, first: '/theirs.xml'}, Path('/ours.xml')) == {
        second: '/theirs.xml'}


LOCAL = [{'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, {'ROS_LOCALHOST_ONLY': '1'},
         {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'localhost'}]  # of an unknown range rcl makes LOCALHOST


@pytest.mark.parametrize('more, udp', [
    ({}, True), *((local, False) for local in LOCAL), ({'ROS_LOCALHOST_ONLY': '0'}, True),
    *(({'ROS_AUTOMATIC_DISCOVERY_RANGE': name}, True)
      for name in ('', 'SUBNET', 'OFF', 'SYSTEM_DEFAULT'))], ids=str)
def test_transports_are_the_default_ones_where_ros_stays_on_this_machine(host, more, udp):
    environment = {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4', **more}
    assert builtin_transports(environment) == ('UDPv4' if udp else 'DEFAULT')
    assert bool(fast_dds_profile(environment, Path('/ours.xml'))) is not udp
    assert ('segment_size is 0.5 MiB' in explain_room(FAST, FULL_HD, environment, host.limits)
            ) is not udp


@pytest.mark.integration
@pytest.mark.parametrize('local', [{}, *LOCAL[:2]], ids=str)
def test_rmw_fastrtps_takes_the_transports_that_are_told(local):
    pytest.importorskip('rclpy')
    from ubcn_ros.bags.live.node_process import private_domain
    code = ('import rclpy; from pathlib import Path; rclpy.init(); node = rclpy.create_node("n"); '
            'print("/dev/shm/fast" in Path("/proc/self/maps").read_text())')
    given = {'ROS_DOMAIN_ID': private_domain()['ROS_DOMAIN_ID'],
             'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4',
             **local}
    others = {name: value for name, value in os.environ.items() if name not in FAST_DDS}
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          env={**others, **given}, timeout=60)
    assert done.stdout.strip() == str(builtin_transports(given) == 'DEFAULT'), done.stderr


PARTICIPANT = '<participant profile_name="p" is_default_profile="{}"><rtps>{}</rtps></participant>'
SHM = ('<transport_descriptors><transport_descriptor><transport_id>a</transport_id>'
       '<type>SHM</type>{}</transport_descriptor></transport_descriptors>')
USED = '<userTransports><transport_id>a</transport_id></userTransports>'
ALONE = '<useBuiltinTransports>false</useBuiltinTransports>'


@pytest.mark.parametrize('content, segment', [
    (SHM.format('<segment_size>1000</segment_size>') + PARTICIPANT.format('true', USED + ALONE),
     1000),
    (SHM.format('<segment_size>9999999</segment_size>') + PARTICIPANT.format('true', USED),
     9999999),
    (SHM.format('<segment_size>9999999</segment_size>') + PARTICIPANT.format('true', ''), 524288),
    (SHM.format('<segment_size>9999999</segment_size>') + PARTICIPANT.format('false', USED),
     524288),
    (SHM.format('') + PARTICIPANT.format('true', USED + ALONE), 524288),
    (SHM.format('<segment_size> 9999999 </segment_size>').replace('>a<', '> a <')
     + PARTICIPANT.format('true', USED.replace('>a<', '>\n  a\n<') + ALONE), 9999999),
    (PARTICIPANT.format('true', ALONE), None), ('', 524288)])
def test_the_segment_is_that_of_the_default_participant(tmp_path, content, segment):
    path = tmp_path / 'profile.xml'
    for opening in ('<profiles>', '<profiles xmlns="http://www.eprosima.com">'):
        path.write_text(f'<dds>{opening}{content}</profiles></dds>')
        assert profile_segment(path) == segment


@pytest.mark.parametrize('content', [None, '<dds'])
def test_a_file_that_cannot_be_read_is_told(host, tmp_path, content):
    path = tmp_path / 'file'
    if content is not None:
        path.write_text(content)
    variable = FAST_DDS[0]
    text = explain_room(FAST, FULL_HD, {variable: str(path)}, host.limits)
    assert '\n' not in text and re.search(
        f'cannot be read: {variable}: .*; mend the file, or unset the variable$', text)


@pytest.mark.parametrize('package, script, environment', [
    ('cyclonedds', 'from cyclonedds.domain import DomainParticipant; DomainParticipant(110)',
     OURS[CYCLONE]),
    ('zenoh', 'import sys, zenoh; config = zenoh.Config.from_file(sys.argv[1]); '
     'assert "134217728" in config.get_json("transport/shared_memory")', {})])
def test_their_own_parsers_take_the_files(package, script, environment):
    pytest.importorskip(package)
    path = OURS[ZENOH]['ZENOH_SESSION_CONFIG_URI']
    done = subprocess.run([sys.executable, '-c', script, path], capture_output=True, text=True,
                          env={**os.environ, **environment}, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.integration
def test_the_node_says_it_and_has_the_segment_that_the_profile_says(start, client):
    from ros_client import image_message, picture, wait_until
    node = start(fake_engine=True, model='fast', warm_up_width=3840, warm_up_height=2160,
                 environment={**OURS[FAST], 'MALLOC_MMAP_THRESHOLD_': '131072'})
    node.wait_for_log('active: waiting for images')
    assert 'segment_size in' in node.output and 'is 64.0 MiB' in node.output
    assert 'MALLOC_MMAP_THRESHOLD_=131072 has glibc map new memory' in node.output
    maps = Path(f'/proc/{node.process.pid}/maps').read_text()
    segments = {Path(line.split()[-1]) for line in maps.splitlines()
                if re.search(r'/dev/shm/fast(rtps|dds)_[0-9a-f]{16}$', line)}
    sizes = [path.stat().st_size for path in segments]
    assert any(64 * 2**20 <= size < 72 * 2**20 for size in sizes), sizes  # and its own part
    outputs, large = client.record('/derained/image_raw'), image_message(5, picture(480, 640))
    client.wait_for_subscriber('/image')
    wait_until(lambda: client.publisher('/image').publish(large) or time.sleep(0.2) or outputs,
               'a large image')
    assert (outputs[0].height, outputs[0].width) == (480, 640)
    assert 'XMLPARSER' not in node.output
    assert node.stop() == 0
