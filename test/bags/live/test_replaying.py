# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node is led to the images of a bag, and the bag played by whichever player there is."""

import cv2
import pytest
from bag_files import SECOND, Topic, pictures, serialized, write_rosbag2, write_topics
from click.testing import CliRunner
from random_images import noise
from rosbags.rosbag1 import Writer
from rosbags.rosbag2 import CompressionMode

from ubcn_ros.bags import COMPRESSED, IMAGE, BagError, make_compressed, make_header
from ubcn_ros.bags.live.replaying import ReplayInputs, find_inputs, player_command
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.node.middleware import FAST_DDS

JPEG = bytes(TYPES.serialize_cdr(make_compressed(
    make_header(SECOND, 'c'), cv2.imencode('.jpg', noise())[1].tobytes()), COMPRESSED))
RAW = serialized(1)


@pytest.fixture
def bag(tmp_path):
    def make(*topics):
        return write_topics(tmp_path / 'bag.mcap', [
            Topic(name, COMPRESSED if name.endswith('/compressed') else IMAGE,
                  [(1, JPEG if name.endswith('/compressed') else RAW)]) for name in topics])
    return make


@pytest.mark.parametrize('topics, given, inputs', [
    (['/cam/image_raw'], {}, ReplayInputs('/cam/image_raw', ('raw',), ('/cam/image_raw',))),
    (['/cam/image_raw/compressed'], {},
     ReplayInputs('/cam/image_raw', ('compressed',), ('/cam/image_raw/compressed',))),
    (['/cam/image_raw', '/cam/image_raw/compressed', '/labels/image_raw'], {},
     ReplayInputs('/cam/image_raw', ('raw',), ('/cam/image_raw',))),
    (['/a/image', '/b/image'], {'image': '/b/image'},
     ReplayInputs('/b/image', ('raw',), ('/b/image',))),
    (['/a/image', '/a/image/compressed'], {'image': '/a/image', 'transports': ['compressed']},
     ReplayInputs('/a/image', ('compressed',), ('/a/image/compressed',))),
    (['/a/image', '/a/image/compressed'], {'image': '/a/image/compressed'},
     ReplayInputs('/a/image', ('compressed',), ('/a/image/compressed',))),
    (['/car/a/image'], {'image': 'a/image', 'namespace': '/car/'},
     ReplayInputs('a/image', ('raw',), ('/car/a/image',))),
    (['/a/image', '/b/image/compressed'], {'image': '/{camera}/image', 'cameras': ['a', 'b']},
     ReplayInputs('/{camera}/image', ('raw', 'compressed'), ('/a/image', '/b/image/compressed'))),
    (['/a/image/compressed', '/b/image/compressed', '/b/image'],
     {'image': '/{camera}/image', 'cameras': ['a', 'b'], 'transports': ['compressed']},
     ReplayInputs('/{camera}/image', ('compressed', 'compressed'),
            ('/a/image/compressed', '/b/image/compressed'))),
], ids=str)
def test_inputs_are_those_that_the_bag_has(bag, topics, given, inputs):
    assert find_inputs(bag(*topics), **given) == inputs


@pytest.mark.parametrize('topics, given, words', [
    (['/a/image', '/b/image'], {}, 'several cameras, choose one: image:=/a/image .*/b/image'),
    (['/labels/image_raw'], {}, 'has no camera .*/labels/image_raw: '),
    (['/a/image'], {'image': '/b/image'}, 'has no images of /b/image; it has images on /a/image'),
    (['/a/image'], {'image': '/a/image', 'transports': ['compressed']},
     'has no compressed images of /a/image'),
    (['/a/image'], {'cameras': ['a']}, r'put \{camera\} where'),
    (['/a/image'], {'image': '/{camera}/image', 'cameras': ['a', 'b']}, 'no images of /b/image'),
], ids=str)
def test_what_the_bag_does_not_have_is_told(bag, topics, given, words):
    with pytest.raises(BagError, match=words):
        find_inputs(bag(*topics), **given)


@pytest.mark.parametrize('options, removed, named, whole', [
    ({}, '', '', True), ({'storage': 'mcap'}, '', '', True),
    ({'compression': CompressionMode.FILE}, '', '', True),
    ({}, '', 'bag.db3', False), ({}, 'metadata.yaml', '', False)], ids=str)
def test_whole_folders_of_rosbag2_alone_are_for_its_player(tmp_path, options, removed, named,
                                                           whole):
    folder = write_rosbag2(tmp_path / 'bag', pictures([1, 2]), **options)
    if removed:
        (folder / removed).unlink()
    assert find_inputs(folder / named).rosbag2 == whole


@pytest.mark.parametrize('name', ['drive.bag', ''])
def test_a_bag_of_ros1_is_not_for_the_player_of_rosbag2(tmp_path, name):
    (tmp_path / 'drive').mkdir()
    with Writer(tmp_path / 'drive' / 'drive.bag') as writer:
        connection = writer.add_connection('/image', IMAGE, typestore=TYPES)
        writer.write(connection, SECOND, TYPES.cdr_to_ros1(RAW, IMAGE))
    assert not find_inputs(tmp_path / 'drive' / name).rosbag2


def test_each_player_is_called_with_the_options_that_it_has():
    options = {'rate': '2', 'start': '3', 'loop': True, 'topics': ['/a', '/b'], 'exclude': ['/c']}
    assert player_command('bag', [], ['/a'], **options) == [
        'ros2', 'bag', 'play', 'bag', '--clock', '40', '--rate', '2', '--loop', '--start-offset',
        '3', '--delay', '1.0', '--disable-keyboard-controls', '--topics', '/a', '/b',
        '--exclude-topics', '/c']
    assert player_command('bag', ['ubcn'], ['/a'], **options) == [
        'ubcn', 'bag', 'play', 'bag', '--clock', '40', '--rate', '2', '--loop', '--start', '3',
        '--wait-for', '/a', '--topics', '/a', '--topics', '/b', '--exclude', '/c']


def test_our_player_has_the_options_that_it_is_called_with(monkeypatch):
    from ubcn_ros.cli.bag_play import bag_play
    _, _, _, *words = player_command('bag', ['ubcn'], ['/a'], topics=['/b'], exclude=['/c'])
    monkeypatch.setattr('ubcn_ros.bags.live.play.play', lambda path, options, *_: called.append(
        (str(path), options)))
    for name in FAST_DDS:
        monkeypatch.setenv(name, '')
    called = []
    done = CliRunner().invoke(bag_play, words)
    assert done.exit_code == 0, done.output
    (path, options), = called
    assert path == 'bag' and (options.rate, options.clock_hz, options.start) == (1, 40, 0)
    assert (options.wait_for, options.topics, options.exclude) == (('/a',), ('/b',), ('/c',))
