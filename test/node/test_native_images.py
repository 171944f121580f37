# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images past rclpy are those that go through it, and their memory is given back."""

import copy
import ctypes
import gc
import pickle
import struct
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')
from random_images import noise  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from ros_client import wait_until  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from ubcn_ros.images.messages import fill_fields, fill_image, in_encoding, to_rgb  # noqa: E402
from ubcn_ros.node import native_images as module  # noqa: E402
from ubcn_ros.node.diagnostics import resident_mib  # noqa: E402
from ubcn_ros.node.executor import ReportingExecutor  # noqa: E402
from ubcn_ros.node.native_images import NativeImages, TakenImage, native_images  # noqa: E402

FIELDS = ('header', 'height', 'width', 'encoding', 'is_bigendian', 'step')
SIZES = [(1, 1), (33, 47), (32, 64), (480, 641)]
FRAME_IDS = ['', 'c', 'camera', 'früh_链接', 'x' * 1001]


def header(frame_id='camera', sec=-7):
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = sec, 999_999_999
    return made


@pytest.fixture
def topic(ros):
    """A publisher and a subscription of serialized images, matched, and what comes."""
    node = ros.create_node('native_images_test')
    topic = SimpleNamespace(node=node, received=[])
    topic.publisher = node.create_publisher(Image, 'native', QoSProfile(depth=20))
    node.create_subscription(Image, 'native', topic.received.append, QoSProfile(depth=20),
                             raw=True)
    wait_until(topic.publisher.get_subscription_count, 'a match')

    def received(count):
        def there():
            ros.spin_once(node, timeout_sec=0.05)
            return len(topic.received) >= count
        wait_until(there, f'{count} images')
        found, topic.received[:] = list(topic.received), []
        return found

    topic.wait = received
    yield topic
    node.destroy_node()


@pytest.fixture
def taken(ros, topic):
    """A node whose executor takes the images of the topic: what came, and what was reported."""
    node = ros.create_node('native_images_taking')
    taken = SimpleNamespace(found=[], errors=[], node=node)
    taken.subscription = node.create_subscription(
        Image, 'native', lambda *found: taken.found.append(found), QoSProfile(depth=20))
    executor = ReportingExecutor(lambda where, error: taken.errors.append(error))
    executor.add_node(node)
    wait_until(lambda: topic.publisher.get_subscription_count() == 2, 'a match')

    def wait(condition, what):
        def there():
            executor.spin_once(0.05)
            return condition()
        wait_until(there, what)

    taken.wait = wait
    yield taken
    executor.shutdown()
    node.destroy_node()


@pytest.mark.parametrize('message', [Image, CompressedImage])
def test_it_fits_what_is_installed_here(message):
    assert isinstance(native_images(message), NativeImages)


def test_other_messages_are_left_to_rclpy():
    assert native_images(CameraInfo) is None


def test_published_images_are_those_of_rclpy(topic):
    sent = []
    for number, size in enumerate(SIZES):
        for encoding in ('rgb8', 'bgr8', 'mono8'):
            image, given = noise(0, *size), header(FRAME_IDS[number])
            image = image[..., 0] if encoding == 'mono8' else image
            pixels = in_encoding(image, encoding)
            native_images(Image).publish(topic.publisher,
                                    fill_fields(Image(), given, pixels, encoding), pixels)
            sent.append(fill_image(Image(), given, image, encoding))
    received = topic.wait(len(sent))
    assert [deserialize_message(data, Image) for data in received] == sent


def test_pixels_may_change_as_soon_as_they_are_published(topic):
    pixels = np.full((400, 400, 3), 1, np.uint8)
    message = fill_fields(Image(), header(), pixels, 'rgb8')
    for value in (1, 2, 3):
        pixels[:] = value
        native_images(Image).publish(topic.publisher, message, pixels)
    pixels[:] = 9
    found = [deserialize_message(data, Image).data for data in topic.wait(3)]
    assert [set(data) for data in found] == [{1}, {2}, {3}]


def test_taken_images_are_those_of_rclpy(topic, taken):
    sent = [fill_image(Image(), header(frame_id), noise(0, *size), 'rgb8')
            for frame_id, size in zip(FRAME_IDS, [*SIZES, (7, 9)], strict=True)]
    sent.append(Image(height=2, width=3, encoding='no such', step=1, is_bigendian=1))
    for message in sent:
        topic.publisher.publish(message)
    taken.wait(lambda: len(taken.found) == len(sent), 'the images')
    for (image, info), message in zip(taken.found, sent, strict=True):
        assert isinstance(image, TakenImage)
        assert all(getattr(image, name) == getattr(message, name) for name in FIELDS)
        assert np.array_equal(image.data, np.array(message.data))
        assert abs(info['received_timestamp'] / 1e9 - time.time()) < 120
        assert 0 < info['source_timestamp'] <= info['received_timestamp']
    numbers = [info['publication_sequence_number'] for _, info in taken.found]
    if numbers[0] is not None:  # Cyclone DDS has none
        assert numbers == list(range(numbers[0], numbers[0] + len(sent)))
    assert np.array_equal(to_rgb(taken.found[1][0]), noise(0, *SIZES[1]))
    assert not taken.errors


@pytest.mark.parametrize('data', [b'', b'\xff\xd8\xff' + bytes(range(256)) * 100])
def test_compressed_images_are_taken_likewise(topic, taken, data):
    found = []
    taken.node.create_subscription(CompressedImage, 'compressed',
                                   lambda *each: found.append(each), QoSProfile(depth=20))
    publisher = topic.node.create_publisher(CompressedImage, 'compressed', QoSProfile(depth=20))
    wait_until(publisher.get_subscription_count, 'a match')
    message = CompressedImage(header=header('früh'), format='rgb8; jpeg compressed bgr8',
                              data=data)
    publisher.publish(message)
    taken.wait(lambda: found, 'the image')
    (image, info), = found
    assert isinstance(image, TakenImage) and info['source_timestamp'] > 0
    assert (image.header, image.format) == (message.header, message.format)
    assert bytes(image.data) == data


def test_images_tell_their_publishers_apart(topic, taken):
    other = topic.node.create_publisher(Image, 'native', QoSProfile(depth=20))
    wait_until(lambda: other.get_subscription_count() == 2, 'a match')
    for publisher in (topic.publisher, other, topic.publisher, other):
        publisher.publish(fill_image(Image(), header(), noise(0, 8, 8), 'rgb8'))
    taken.wait(lambda: len(taken.found) == 4, 'the images')
    counted = Counter(info['publisher_gid'] for _, info in taken.found)
    assert sorted(counted.values()) == [2, 2] and all(map(any, counted))
    topic.node.destroy_publisher(other)


def test_who_asks_for_bytes_gets_them_and_the_same_info(topic, taken):
    found = []
    taken.node.create_subscription(
        Image, 'native', lambda data, info: found.append((data, info)), 20, raw=True)
    wait_until(lambda: topic.publisher.get_subscription_count() == 3, 'a match')
    message = fill_image(Image(), header(), noise(0, 8, 8), 'rgb8')
    topic.publisher.publish(message)
    taken.wait(lambda: taken.found and found, 'the image, twice')
    (data, info), = found
    assert deserialize_message(data, Image) == message
    assert taken.found[0][1].keys() - {'publisher_gid'} <= info.keys()
    for name in ('source_timestamp', 'publication_sequence_number'):
        assert taken.found[0][1][name] == info[name]


def serialized(frame_id=b'cam\0', encoding=b'rgb8\0', size=192, data=bytes(192)):
    """Serialize an image of 8 x 8 with anything in its strings."""
    parts = b'\0\1\0\0' + struct.pack('<iII', 5, 6, len(frame_id)) + frame_id
    parts += bytes(-len(parts) % 4) + struct.pack('<III', 8, 8, len(encoding)) + encoding + b'\1'
    return parts + bytes(-len(parts) % 4) + struct.pack('<II', 24, size) + data


WHOLE = serialized()


@pytest.mark.parametrize('data', [
    WHOLE, serialized(size=0, data=b''), serialized(data=bytes(range(200))), b'\0\1\0\0', b'\0\1',
    serialized(b'\0', b'\0'), serialized(b'', b''), serialized(b'\xff\x80\0', b'rgb\xc38\0'),
    serialized(b'a\0b\0', b'r\0gb\0'), serialized(b'cam!'), serialized(b'x' * 10_000 + b'\0'),
    b'\0\1\0\0' + b'\xff' * 60, WHOLE[:30], WHOLE[:44], serialized(size=2**32 - 1)])
def test_whatever_is_in_a_message_rclpy_takes_the_same_of_it(topic, data):
    other = [topic.node.create_subscription(Image, 'native', repr, QoSProfile(depth=20))
             for _ in range(2)]
    wait_until(lambda: topic.publisher.get_subscription_count() == 3, 'a match')
    native = native_images(Image)
    takes = {'rclpy': (other[0], lambda: other[0].handle.take_message(Image, False)),
             'native': (other[1], lambda: native.take(other[1]))}
    found = {name: [] for name in takes}
    for sent in (data, serialized(b'last\0')):
        topic.publisher.publish(sent)

    def last(name):
        subscription, take = takes[name]
        with subscription.handle:
            image, _ = take() or (None, None)
        if image is not None:
            found[name].append(({field: getattr(image, field) for field in FIELDS},
                                bytes(image.data)))
        return found[name] and found[name][-1][0]['header'].frame_id == 'last'

    for name in takes:
        wait_until(lambda: last(name), 'the last image')  # noqa: B023
    assert found['native'] == found['rclpy']


@pytest.fixture
def counted(topic):
    """What takes and publishes, `alive` structures, and a subscription that nobody else takes."""
    native, alive = NativeImages(Image), []
    create, destroy = native._create, native._destroy

    def note_created():
        alive.append(create())
        return alive[-1]

    def note_destroyed(address):
        alive.remove(address)  # raises where it is destroyed twice
        destroy(address)

    native._create, native._destroy = note_created, note_destroyed
    subscription = topic.node.create_subscription(Image, 'native', repr, QoSProfile(depth=20))
    wait_until(lambda: topic.publisher.get_subscription_count() == 2, 'a match')
    return SimpleNamespace(native=native, alive=alive, subscription=subscription)


@pytest.mark.parametrize('keep', [
    lambda image: image, lambda image: image.data, lambda image: image.data[7:][::2],
    to_rgb, lambda image: to_rgb(image)[3:, ::-1].T, lambda image: memoryview(image.data)[5:],
    lambda image: np.frombuffer(memoryview(image.data)[8:], np.uint16),
    lambda image: image.data.base, lambda image: np.asarray(image.data.base)[9:],
    lambda image: image.data.view(np.recarray), lambda image: np.from_dlpack(image.data[1:])])
def test_whatever_looks_at_the_data_keeps_them(topic, counted, keep):
    topic.publisher.publish(fill_image(Image(), header(), noise(0, 40, 50), 'rgb8'))
    image, _ = wait_until(lambda: counted.native.take(counted.subscription), 'the image')
    kept = keep(image)
    del image
    gc.collect()
    assert len(counted.alive) == 1
    del kept
    gc.collect()
    assert not counted.alive


@pytest.mark.parametrize('duplicate', [
    copy.copy, copy.deepcopy, lambda image: pickle.loads(pickle.dumps(image))])
def test_a_copy_of_a_taken_image_has_its_fields(topic, counted, duplicate):
    topic.publisher.publish(WHOLE)
    image, _ = wait_until(lambda: counted.native.take(counted.subscription), 'the image')
    found = duplicate(image)
    assert all(getattr(found, name) == getattr(image, name) for name in FIELDS)
    assert np.array_equal(found.data, image.data)


@pytest.mark.parametrize('where', [
    '_take', '_require', '_to_python', '_from_python', '_publish', 'TakenImage', '_Data'])
def test_wherever_a_signal_comes_each_structure_is_destroyed_once(monkeypatch, topic, counted,
                                                                  where):
    def interrupt(*_):
        raise KeyboardInterrupt

    native, pixels = counted.native, noise(0, 40, 50)
    owner = native if where[:2] in {f'_{letter}' for letter in 'trfp'} else module
    with monkeypatch.context() as patch:
        patch.setattr(owner, where, interrupt)
        topic.publisher.publish(WHOLE)
        with pytest.raises(KeyboardInterrupt):
            native.publish(topic.publisher, fill_fields(Image(), header(), pixels, 'rgb8'), pixels)
            wait_until(lambda: native.take(counted.subscription), 'the interrupt')
    gc.collect()
    assert not counted.alive


def test_a_view_keeps_the_memory_of_a_taken_image_and_the_last_one_gives_it_back(topic, taken):
    side = 600  # about a mebibyte
    message = serialize_message(fill_image(Image(), header(), noise(0, side, side), 'rgb8'))

    def send(count):
        for _ in range(count):
            there = len(taken.found)
            topic.publisher.publish(message)
            taken.wait(lambda: len(taken.found) > there, 'the image')  # noqa: B023
            topic.received.clear()

    send(1)
    kept = to_rgb(taken.found[0][0])[100:]
    taken.found.clear()
    gc.collect()
    before = resident_mib()
    for _ in range(60):
        send(1)
        taken.found.clear()
    assert resident_mib() - before < 30.0
    assert np.array_equal(kept, noise(0, side, side)[100:])


@pytest.mark.parametrize('message', [Image, CompressedImage])
@pytest.mark.parametrize('place', ['first', 'last'])
def test_another_layout_is_refused(monkeypatch, message, place):
    """Lyrical's sequences of bytes end with flags that say where the data are."""
    new, fields = [('new', ctypes.c_bool)], module._STRUCTURES[message]._fields_

    class Other(ctypes.Structure):
        _fields_ = new + fields if place == 'first' else fields + new

    monkeypatch.setitem(module._STRUCTURES, message, Other)
    with pytest.raises(RuntimeError, match=f'{message.__name__} has another layout'):
        NativeImages(message).check()


def test_messages_without_introspection_are_refused(monkeypatch):
    native = NativeImages(Image)
    monkeypatch.setattr(native, '_type_support', lambda *_: None)
    with pytest.raises(RuntimeError, match='without introspection'):
        native.check()


@pytest.mark.parametrize('error', [OSError('librcl.so: no such file'), AttributeError('_x')])
def test_where_it_does_not_fit_rclpy_does_it_all(monkeypatch, error):
    def fail(message):
        raise error

    monkeypatch.setattr(module, 'NativeImages', fail)
    assert native_images.__wrapped__(Image) is None


def test_an_executor_without_it_takes_images_as_rclpy_does(monkeypatch, topic, taken):
    monkeypatch.setattr('ubcn_ros.node.executor.native_images', lambda message: None)
    message = fill_image(Image(), header(), noise(0, 8, 8), 'rgb8')
    topic.publisher.publish(message)
    taken.wait(lambda: taken.found, 'the image')
    assert taken.found[0][0] == message


def test_a_publisher_that_is_gone_is_an_error(topic):
    pixels = noise(0, 8, 8)
    topic.node.destroy_publisher(topic.publisher)
    with pytest.raises(Exception, match='destr|Destr|invalid'):
        native_images(Image).publish(topic.publisher,
                                fill_fields(Image(), header(), pixels, 'rgb8'), pixels)
