# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A DDS client of the node: publishes images, records the outputs, reads the diagnostics."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ubcn_ros.bags import IMAGE, BagError, McapBagWriter
from ubcn_ros.bags.headers import header_bytes, header_stamp_ns, with_stamp
from ubcn_ros.bags.live.node_process import NodeProcess, ReplayError, starting_ros
from ubcn_ros.node import topics

SOURCE = '/camera/image_raw'
"""Topic that images are replayed on; '/compressed' is appended for compressed ones."""
DERAINED, LABELS = '/' + topics.DERAINED, '/' + topics.LABELS
_SPIN_SECONDS = 0.1  # after which the end is noticed
_PROBES, _PROBE_SECONDS = 4, 10.0  # enough to know a slow node's pace
_LOST_FACTOR, _LOST_SECONDS = 4.0, 1.0  # an answer that takes so much longer does not come


def source_topic(camera: str = '') -> str:
    """Return the topic that images of a camera are replayed on; '' names the only one."""
    return f'/{camera}/image_raw' if camera else SOURCE


def _lost_after(seconds: float) -> float:
    return _LOST_FACTOR * max(seconds, _LOST_SECONDS)


class NoAnswerError(ReplayError):
    """An active node's outputs of a first image, sent again and again, did not come."""


@dataclass(frozen=True)
class Output:
    """An output as it came: topic, header as serialized, and time.monotonic() of its arrival."""

    topic: str
    header: bytes
    time: float


class Client:
    """
    Publishes serialized images to the node and records what it publishes; a context manager.

    :param compressed: whether the images are CompressedImage.
    :param recorder: takes the outputs once `recording` is set.
    :param debug: whether to subscribe to debug/frame: `frames` then has its values in
        milliseconds, a dict of name and value for each frame.
    :param camera: of the node's cameras; '' for the only one. Its topics are those of a single
        camera, below its name.
    :param outputs: topics of the images to take.
    :ivar node: its rclpy node, which runs in a thread of its own.
    """

    def __init__(self, process: NodeProcess, compressed: bool, recorder: McapBagWriter | None,
                 debug: bool = False, camera: str = '',
                 outputs: Sequence[str] = (DERAINED, LABELS)):
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import CompressedImage, Image

        self.outputs: list[Output] = []
        self.frames: list[dict[str, float]] = []
        self.recording = False
        self.reports = 0
        self.published = 0
        self._process, self._recorder = process, recorder
        self._status: dict[str, dict[str, str]] = {}
        self._to_write: queue.SimpleQueue = queue.SimpleQueue()
        self._write_error: BagError | None = None
        self._context = rclpy.Context()
        with starting_ros():
            rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
            self.node = rclpy.create_node('ubcn_client', context=self._context)
        self._camera, below = camera or 'camera', f'/{camera}' if camera else ''
        topic = source_topic(camera) + (topics.COMPRESSED if compressed else '')
        self._publisher = self.node.create_publisher(
            CompressedImage if compressed else Image, topic, QoSProfile(depth=5))
        self._taken = frozenset(outputs)
        for name in outputs:
            self.node.create_subscription(
                Image, below + name, lambda data, name=name: self._on_output(name, data),
                QoSProfile(depth=50), raw=True)
        self.node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics,
                                      10)
        if debug:
            self.node.create_subscription(DiagnosticArray, f'{below}/{topics.DEBUG_FRAME}',
                                          self._on_frame, QoSProfile(depth=50))
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._spin, daemon=True),
                         threading.Thread(target=self._write, daemon=True)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what was received and take the node down; tell if it could not be written."""
        self._ended.set()
        self._threads[0].join()
        self._to_write.put(None)
        self._threads[1].join()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()
        if kind is None and self._write_error is not None:
            raise self._write_error

    def publish(self, data: bytes) -> float:
        """Publish a serialized image; return time.monotonic() just before."""
        now = time.monotonic()
        self._publisher.publish(data)
        self.published += 1
        return now

    def wait(self, condition: Callable[[], Any], what: str, timeout: float,
             error: type[ReplayError] = ReplayError) -> None:
        """Wait until a condition holds; the error names it if time is up or the node ends."""
        end = time.monotonic() + timeout
        while not condition():
            self.check()
            if time.monotonic() > end:
                raise error(f'waited {timeout:g} s in vain for {what}')
            time.sleep(0.005)

    def check(self) -> None:
        """Raise ReplayError if the node has ended, BagError if the recording failed."""
        self._process.check()
        if self._write_error is not None:
            raise self._write_error

    def wait_until_active(self, timeout: float) -> None:
        """Wait until the node takes images, which it does once it is active."""
        self.wait(self._publisher.get_subscription_count, 'the node to become active', timeout)

    def probe(self, data: bytes, timeout: float = 60.0) -> float:
        """
        Send an image until all outputs have answered, then again, one by one.

        Four times in all, fewer where the node is slow. Of those after the first, one that is lost
        on the way is passed over.

        :param timeout: seconds to wait for the first answer.
        :return: the median time from sending to the last output, seconds.
        :raises NoAnswerError: the transport, or the node, lost the first, however often sent.
        """
        times = []
        for number in range(_PROBES):
            # a time of its own for each, and not one that a camera would stamp
            message = with_stamp(data, 2_000_000_000 + number)
            header, sent = header_bytes(message), self.publish(message)
            repeat = sent + 1.0

            def answered(message: bytes = message, header: bytes = header) -> bool:
                nonlocal repeat
                if self._answered(header):
                    return True
                if not times and time.monotonic() > repeat:  # not matched yet: nothing was kept
                    repeat = self.publish(message) + 1.0
                return False

            try:
                self.wait(answered, f'{" and ".join(sorted(self._taken))} of a first image',
                          _lost_after(times[0]) if times else timeout, NoAnswerError)
            except NoAnswerError:
                if not times:
                    raise
                continue
            times.append(time.monotonic() - sent)
            if sum(times) > _PROBE_SECONDS:
                break
        return sorted(times[1:] or times)[len(times[1:]) // 2]

    def wait_for_answer(self, header: bytes, seconds: float) -> None:
        """Wait for all outputs of an image that takes about so long, unless it was lost."""
        with contextlib.suppress(NoAnswerError):
            self.wait(lambda: self._answered(header), 'an answer', _lost_after(seconds),
                      NoAnswerError)

    def _answered(self, header: bytes) -> bool:
        return {output.topic for output in self.outputs if output.header == header} == self._taken

    def settled_counts(self, timeout: float = 90.0) -> dict[str, int]:
        """
        Wait until the node's counters rest and add up; return them by name.

        :return: received, processed, dropped and malformed, since the node became active.
        """
        seen: list[tuple[int, dict[str, int]]] = []

        def rests() -> bool:
            if not seen or seen[-1][0] != self.reports:
                status = self.status('camera')
                seen.append((self.reports, {name: int(status.get(name, -1)) for name in (
                    'received', 'processed', 'dropped', 'malformed')}))
            if len(seen) < 3:  # the first may be of before
                return False
            counts = seen[-1][1]
            return (counts == seen[-2][1] and counts['received'] >= 0 and counts['received']
                    == counts['processed'] + counts['dropped'] + counts['malformed'])

        self.wait(rests, "the node's counters to rest and add up "
                  '(received = processed + dropped + malformed)', timeout)
        return seen[-1][1]

    def status(self, name: str) -> dict[str, str]:
        """Return the values of the node's last diagnostics of 'engine' or 'camera'."""
        return dict(self._status.get(self._camera if name == 'camera' else name, {}))

    def _spin(self) -> None:
        # an executor that is shut down while it begins to wait may not notice
        while not self._ended.is_set():
            self._executor.spin_once(_SPIN_SECONDS)

    def _on_output(self, topic: str, data: bytes) -> None:
        now = time.monotonic()
        header = header_bytes(data)
        if self.recording:
            self._to_write.put((topic, data, header_stamp_ns(data)))
        self.outputs.append(Output(topic, header, now))

    def _on_frame(self, message: Any) -> None:
        self.frames += [{item.key: float(item.value) for item in status.values
                         if item.key.endswith('(ms)')} for status in message.status]

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            name = status.name.rsplit(': ', 1)[-1]
            self._status[name] = {item.key: item.value for item in status.values}
        self.reports += 1

    def _write(self) -> None:
        while (item := self._to_write.get()) is not None:
            topic, data, stamp = item
            try:
                self._recorder.write_message(topic, IMAGE, data, stamp)
            except BagError as error:  # in a thread: told by check()
                self._write_error = error
                return
