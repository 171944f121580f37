# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Play a bag to live topics: the serialized messages as they are, at the pace of the recording."""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.live.node_process import starting_ros
from ubcn_ros.bags.live.pace import Played, Schedule, publish_when_due, read_ahead
from ubcn_ros.bags.messages import LATEST_STAMP_NS
from ubcn_ros.bags.storage.offered_qos import (
    holds_static_transforms,
    latched_before,
    merged_offer,
    to_profile,
)
from ubcn_ros.bags.storage.reader import BagReader, open_bag
from ubcn_ros.bags.storage.records import Channel, Record, by_kind
from ubcn_ros.bags.topics import choose_topics

_CLOCK = '/clock'
_SHORTEST_LAP_NS = 1_000_000_000  # of --loop: a bag of one message is not played without a pause
_GAP_NS = 60 * 10**9  # that is told: it is waited for
_MOST_STATIC = 10_000  # static transforms that are kept for later subscribers
_FOUND_SECONDS = 0.2  # a subscriber finds a publisher a little later than that finds it
_ACKNOWLEDGED_SECONDS = 5.0  # how long the last messages may take to reach their subscribers


@dataclass(frozen=True)
class PlayOptions:
    """
    How to play a bag.

    `topics` and `exclude` are patterns, as of `choose_topics`; `start` and `duration` are seconds
    of the recording, `clock_hz` how often /clock is published, None for not at all; topics of
    `wait_for` need a subscriber before the first message goes out.
    """

    rate: float = 1.0
    loop: bool = False
    start: float = 0.0
    duration: float | None = None
    topics: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    clock_hz: float | None = None
    wait_for: tuple[str, ...] = ()


def play(path: Path, options: PlayOptions, played: Played, say: Callable[[str], Any],
         warn: Callable[[str], Any]) -> None:
    """
    Play a bag over DDS.

    What is late goes out at once, and nothing is left out for it. Messages of latched topics
    (transient local, as /tf_static) from before the start are published first, in each lap.

    :param played: updated after each message, so that it is right after an interruption, too.
    :param say: is given what is being waited for and played.
    :param warn: is given what is left out, and what was not recorded.
    :raises BagError: it cannot be read, or has no message to play.
    :raises ModuleNotFoundError: rclpy is not installed.
    :raises ReplayError: ROS cannot be started.
    """
    with open_bag(path) as reader:
        for note in reader.notes:
            warn(note)
        chosen = choose_topics((channel.topic for channel in reader.channels), options.topics,
                               options.exclude)
        if options.clock_hz:  # two clocks would contradict each other
            chosen -= {_CLOCK}
        channels = [channel for channel in reader.channels if channel.topic in chosen]
        first, end = _window(reader, options)
        with _node() as node:
            publishers = _Publishers(node, channels, _counts(reader), warn)
            absent = {*options.wait_for} - publishers.topics
            if absent:
                raise BagError(f'{", ".join(sorted(absent))!r} cannot be waited for: of {path}, '
                               f'{", ".join(sorted(publishers.topics)) or "no topic"} can be '
                               'played')
            if not publishers.channels:
                raise BagError(f'nothing of {path} can be played: choose topics that it has, of '
                               'types that are installed')
            clock = _clock_publisher(node) if options.clock_hz else None
            publishers.wait_for(options.wait_for, say)
            laps = _laps(reader, publishers.channels, first, end, options.loop, warn)
            with read_ahead(laps) as records:
                head = next(records, None)  # before the time begins: opening a bag may take some
                if head is None:
                    raise BagError(f'{path} has no message of the chosen topics in this part')
                schedule = Schedule(first, max(end - first, _SHORTEST_LAP_NS), options.rate,
                                    time.monotonic_ns())
                publish_when_due(chain([head], records), schedule, played, publishers.publish,
                                 clock, options.clock_hz or 1.0)
            publishers.flush()


def _window(reader: BagReader, options: PlayOptions) -> tuple[int, int]:
    """Return the recording times of the beginning and the end, which is not included."""
    if reader.start_ns is None:
        raise BagError(f'{reader.path} has no messages')
    first = reader.start_ns + round(options.start * 1e9)
    end = reader.end_ns + 1
    if options.duration is not None:
        end = min(end, first + max(1, round(options.duration * 1e9)))
    if first >= end:
        seconds = (reader.end_ns - reader.start_ns) / 1e9
        raise BagError(f'{reader.path} is {seconds:.3f} s long: nothing is left to play from '
                       f'{options.start:g} s on')
    return first, end


def _counts(reader: BagReader) -> Counter[str]:
    """Count the messages of each topic, as far as the bag says."""
    counts: Counter[str] = Counter()
    for connection in reader.connections:
        counts[connection.topic] += connection.msgcount
    return counts


def _laps(reader: BagReader, channels: Sequence[Channel], first: int, end: int, loop: bool,
          warn: Callable[[str], Any]) -> Generator[tuple[int, Record], None, None]:
    """Yield records with the number of their lap, what was latched before first in each."""
    found, told, last = False, set(), first
    # each time: those of the lap before are the publisher's last messages by then
    latched = [record._replace(time_ns=first)
               for record in latched_before(reader, channels, first)]
    for lap in count() if loop else range(1):
        for number, record in enumerate(reader.records(channels, first, end)):
            if not number:
                yield from ((lap, each) for each in latched)
            found = True
            gap = record.time_ns - last
            if lap == 0 and gap > _GAP_NS:
                at = (record.time_ns - reader.start_ns) // 1_000_000 / 1e3
                warn(f'there is nothing to play in {gap / 1e9:.0f} s of the recording, as '
                     f'where its clock was set: --start {at:.3f} begins behind them')
            last = record.time_ns
            yield lap, record
        for line in reader.met:
            if line not in told:
                warn(line)
                told.add(line)
        if not found:
            break


@contextmanager
def _node() -> Iterator[Any]:
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    context = rclpy.Context()
    with starting_ros():
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        with starting_ros():
            # nobody spins it: what asks its parameters would wait for ever
            node = rclpy.create_node('ubcn_player', context=context,
                                     start_parameter_services=False)
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


class _Publishers:
    """A publisher for each topic of channels that this ROS knows the type of."""

    def __init__(self, node: Any, channels: Sequence[Channel], counts: Counter[str],
                 warn: Callable[[str], Any]):
        self.channels: list[Channel] = []
        self._publishers: dict[Channel, Any] = {}
        unknown = []
        for (topic, msgtype, serialization), group in by_kind(channels).items():
            offer = merged_offer(group)
            if offer is not None and holds_static_transforms(group[0]):
                # one publisher stands for those of all
                offer = offer._replace(depth=max(offer.depth, min(counts[topic], _MOST_STATIC)))
            try:
                publisher = _publisher(node, topic, msgtype, serialization, to_profile(offer))
            except Exception as error:  # of a type, name or QoS that this ROS does not take
                warn(f'{topic} ({msgtype or "no type"}) is left out: {reason(error)}')
                continue
            if offer is None:
                unknown.append(topic)
            self.channels += group
            self._publishers |= dict.fromkeys(group, publisher)
        if unknown:
            warn(f'no QoS was recorded of {", ".join(unknown)}: reliable and volatile is offered')

    @property
    def topics(self) -> set[str]:
        """Names of what is played."""
        return {channel.topic for channel in self.channels}

    def publish(self, record: Record) -> None:
        """Publish a record as it was serialized."""
        self._publishers[record.channel].publish(bytes(record.data))

    def wait_for(self, topics: Sequence[str], say: Callable[[str], Any]) -> None:
        """Wait until each of these topics has a subscriber."""
        for topic in topics:
            publishers = [publisher for channel, publisher in self._publishers.items()
                          if channel.topic == topic]
            if not any(publisher.get_subscription_count() for publisher in publishers):
                say(f'waiting for a subscriber of {topic}')
            while not any(publisher.get_subscription_count() for publisher in publishers):
                time.sleep(0.02)
        time.sleep(_FOUND_SECONDS if topics else 0.0)

    def flush(self) -> None:
        """Wait, for a while, until reliable subscribers have all that was published."""
        from rclpy.duration import Duration
        end = time.monotonic() + _ACKNOWLEDGED_SECONDS
        for publisher in set(self._publishers.values()):
            with suppress(RuntimeError):  # rclpy's RCLError: Zenoh has no acknowledgements
                publisher.wait_for_all_acked(Duration(seconds=max(0.0, end - time.monotonic())))


def _publisher(node: Any, topic: str, msgtype: str, serialization: str, profile: Any) -> Any:
    if serialization != 'cdr':
        raise ValueError(f'its messages are encoded as {serialization or "(nothing)"}, not as cdr')
    package, _, name = msgtype.rpartition('/')
    try:
        kind = getattr(importlib.import_module(package.replace('/', '.')), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError('this type is not installed: source a workspace that has it') from error
    return node.create_publisher(kind, topic, profile)


def _clock_publisher(node: Any) -> Callable[[int], None]:
    """Return what publishes a time, ns, on /clock, or the nearest that a stamp can hold."""
    from rclpy.qos import QoSProfile
    from rclpy.time import Time
    from rosgraph_msgs.msg import Clock
    publisher = node.create_publisher(Clock, _CLOCK, QoSProfile(depth=10))
    return lambda time_ns: publisher.publish(Clock(clock=Time(
        nanoseconds=min(max(time_ns, 0), LATEST_STAMP_NS)).to_msg()))
