# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Explain in words what does not fit: topics, types, QoS, calibration, and the remedy."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rclpy.duration import Duration, Infinite
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    qos_check_compatible,
    qos_policy_name_from_kind,
)

from ubcn_ros.node.middleware import (
    DISCOVERY_RANGE,
    FAST_DDS,
    FAST_DDS_TRANSPORTS,
    LOCALHOST_ONLY,
)
from ubcn_ros.node.processing import image_size
from ubcn_ros.node.qos import OVERRIDABLE, OVERRIDES, input_qos
from ubcn_ros.node.topics import COMPRESSED, IMAGE, base_topic, inputs
from ubcn_ros.text_table import counted

SHARED_MEMORY = Path('/dev/shm')
TYPES = {'raw': 'sensor_msgs/msg/Image', 'compressed': 'sensor_msgs/msg/CompressedImage'}
"""Type of message by transport."""
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
UNKNOWN_NODE = '_NODE_NAME_UNKNOWN_'
"""What rmw calls the node of an endpoint that was discovered before its node."""
_REPORTS_TO_WAIT = 5
_MATCHED = ('reliability', 'durability')
"""Policies that both sides have to agree on, of those that parameters override."""


def describe(endpoint: Any, policy: str = '') -> str:
    """
    Put a TopicEndpointInfo into words: node, type and QoS.

    :param policy: name of one to tell beside reliability and durability; '' for none.
    """
    profile = endpoint.qos_profile
    told = [profile.reliability.name.lower(), profile.durability.name.lower()]
    if policy not in _MATCHED and (value := getattr(profile, policy, None)) is not None:
        told.append(f'{policy} {_in_words(value)}')  # some that rmw names are of no profile
    namespace = endpoint.node_namespace.rstrip('/')
    return f'{namespace}/{endpoint.node_name} ({", ".join((endpoint.topic_type, *told))})'


def _in_words(value: Any) -> str:
    """Write the value of a policy: a Duration, of which the longest means none, or an enum."""
    if isinstance(value, Duration):
        return 'none' if value == Infinite else f'{value.nanoseconds / 1e9:g} s'
    return value.name.lower()


def explain_incompatible(node: Any, topic: str, policy_kind: Any, subscribing: bool) -> str:
    """
    Word the warning for an endpoint on the other side whose QoS does not fit.

    :param node: the rclpy node, asked for the other side's endpoints.
    :param topic: resolved name.
    :param policy_kind: policy that does not fit, as in the event.
    :param subscribing: whether our side subscribes.
    """
    policy = qos_policy_name_from_kind(policy_kind).lower()
    if subscribing:
        others, side, ours = node.get_publishers_info_by_topic(topic), 'publisher', 'subscription'
    else:
        others, side, ours = node.get_subscriptions_info_by_topic(topic), 'subscriber', 'publisher'
    there = ', '.join(describe(other, policy) for other in others) or 'gone'
    remedy = f'Change {policy} in that {side}'
    if policy_kind in OVERRIDABLE:
        remedy += f", or ours with the parameter 'qos_overrides.{topic}.{ours}.{policy}'"
    return (f'{topic}: a {side} with incompatible QoS, no messages pass between us. Policy: '
            f'{policy}. {side.capitalize()}s there: {there}. {remedy}')


class IncompatibleEndpoints:
    """
    Endpoints on the other side whose QoS does not fit, until the log has said so.

    They are explained with a later report: the other side's name is not known at first.
    """

    def __init__(self, node: Any, explain: Callable[..., str] = explain_incompatible):
        """
        Begin without any.

        :param node: the rclpy node, asked for the other side's endpoints.
        :param explain: words one, as `explain_incompatible` does.
        """
        self._node, self._explain = node, explain
        self._waited: dict[tuple[str, Any, bool], int] = {}  # reports, by endpoint

    def note_publisher(self, topic: str, policy_kind: Any) -> None:
        """Note a publisher that our subscription cannot hear; the topic is resolved."""
        self._waited.setdefault((topic, policy_kind, True), 0)

    def note_subscriber(self, topic: str, policy_kind: Any) -> None:
        """Note a subscriber that cannot hear our publisher; the topic is resolved."""
        self._waited.setdefault((topic, policy_kind, False), 0)

    def explain(self) -> list[str]:
        """Word those whose node is known by now, or will not be; each of them once."""
        texts = []
        for endpoint, waited in list(self._waited.items()):
            text = self._explain(self._node, *endpoint)
            if UNKNOWN_NODE in text and waited < _REPORTS_TO_WAIT:
                self._waited[endpoint] = waited + 1
            else:
                del self._waited[endpoint]
                texts.append(text)
        return texts


@dataclass(frozen=True)
class Silence:
    """A subscription to images to which nothing comes."""

    topic: str  # resolved
    transport: str  # raw or compressed
    remap: str  # the name whose remapping leads to the topic
    seconds: float  # without an image
    received: int = 0  # images before
    last: float = 0.0  # when the last of them came, seconds since the epoch


def explain_silence(node: Any, silence: Silence, shared_memory: Path = SHARED_MEMORY) -> str:
    """
    Say why no image may be arriving: who publishes on the topic, as what, with which QoS.

    :param node: the rclpy node.
    :param silence: what is known of the subscription.
    :param shared_memory: folder of this host's shared memory segments.
    """
    publishers = node.get_publishers_info_by_topic(silence.topic)
    text = f'no image on {silence.topic} for {silence.seconds:.0f} s: '
    if silence.received:
        last = datetime.fromtimestamp(silence.last).astimezone().isoformat(' ', 'seconds')
        text += f'stopped after {counted(silence.received, "image")}, last at {last}; '
    if not publishers:
        return f'{text}0 publishers; ' + (_other_transport(node, silence) or (
            'is the camera driver still running?' if silence.received else
            _where_to_remap(node, silence)))
    text += f'{counted(len(publishers), "publisher")}: {", ".join(map(describe, publishers))}; '
    wanted = TYPES[silence.transport]
    publishers = [publisher for publisher in publishers if publisher.topic_type == wanted]
    if not publishers:
        return f'{text}we subscribe to {wanted}: ' + (
            _other_transport(node, silence) or _where_to_remap(node, silence))
    if misfits := _qos_misfits(node, silence.topic, publishers):
        return f'{text}QoS incompatible: {misfits}'
    text += 'the driver is connected but sends nothing'
    if users := other_users(shared_memory):
        return (f'{text}, or cannot reach us as it runs as another user: in {shared_memory} are '
                f'Fast DDS segments of {", ".join(users)}, not usable by {_user(os.getuid())}. '
                'Run both as one user, or both over UDP: for both set '
                f'{FAST_DDS_TRANSPORTS}=UDPv4, and unset what overrides it: '
                f'{" and ".join(FAST_DDS)}, {DISCOVERY_RANGE} where it is LOCALHOST, and '
                f'{LOCALHOST_ONLY} where it is 1')
    if silence.received:
        return f'{text} any more: see its log'
    return (f'{text}, or large messages are lost: run it with the shared-memory profile '
            'config/fastdds.xml')


def explain_no_camera_info(node: Any, topic: str, seconds: float) -> str:
    """
    Say why no camera info may be arriving although somebody publishes there; '' where nobody does.

    :param node: the rclpy node, which subscribes.
    :param topic: resolved name.
    :param seconds: since it subscribed.
    """
    publishers, ours = node.get_publishers_info_by_topic(topic), _our_qos(node, topic)
    if not publishers:
        return ''
    text = (f'no camera info on {topic} for {seconds:.0f} s: '
            f'{counted(len(publishers), "publisher")}: {", ".join(map(describe, publishers))}; ')
    publishers = [publisher for publisher in publishers if publisher.topic_type == CAMERA_INFO]
    if not publishers:
        return f'{text}we subscribe to {CAMERA_INFO}: remap camera_info to a topic of that type'
    if misfits := _qos_misfits(node, topic, publishers):
        return f'{text}QoS incompatible: {misfits}'
    latched = DurabilityPolicy.TRANSIENT_LOCAL
    if ours.durability == latched or all(
            publisher.qos_profile.durability != latched for publisher in publishers):
        return f'{text}nothing is sent: see the log of the driver'
    override = f'{OVERRIDES}{topic}.subscription'
    return (f'{text}what was sent before the node was active reaches it only with the parameters '
            f"'{override}.durability' set to transient_local and '{override}.reliability' set to "
            'reliable')


def explain_several_publishers(node: Any, topic: str) -> str:
    """
    Say who publishes images by turns on one topic.

    :param node: the rclpy node.
    :param topic: resolved name.
    """
    publishers = ', '.join(map(describe, node.get_publishers_info_by_topic(topic)))
    return (f'{topic}: images of several publishers come by turns, as if of one camera: '
            f'{publishers or "gone"}; stop all but one, or remap them')


def explain_shared(topics: Sequence[tuple[str, str]]) -> str:
    """
    Say which inputs of several cameras are one topic; '' where each is of its own.

    :param topics: for each camera the name to remap, like 'front/image', and where it leads.
    """
    leading: dict[str, list[str]] = {}
    for name, topic in topics:
        leading.setdefault(topic, []).append(name)
    shared = '; '.join(f'{" and ".join(names)} are one topic, {topic}'
                       for topic, names in leading.items() if len(names) > 1)
    return shared and (f'{shared}: remap each to that of its own camera; in arguments of the '
                       'launch file {camera} stands for its name')


def explain_calibration(info: Any, frame_id: str, height: int, width: int) -> str:
    """
    Say where a calibration is not that of its images; '' where it may be, or there is none.

    :param info: sensor_msgs/CameraInfo, whose region of interest and binning count; or None.
    :param frame_id: of the image.
    :param height, width: of the image, pixels.
    """
    if info is None:
        return ''
    meant, theirs, misfits = image_size(info), info.header.frame_id, []
    if 0 not in meant and meant != (height, width):
        misfits.append(f'images are {width}x{height}, but the camera info is of '
                       f'{meant[1]}x{meant[0]}')
    if theirs not in ('', frame_id):
        misfits.append(f"images are of frame_id '{frame_id}', but the camera info is of "
                       f"'{theirs}'")
    if not misfits:
        return ''
    return (f'{"; ".join(misfits)}: it goes with the derained image as it is, under the header of '
            'the image; let the driver publish that of these images, or remap camera_info to it')


def _qos_misfits(node: Any, topic: str, publishers: list[Any]) -> str:
    """Say which policies keep all these publishers from our subscription; '' where one fits."""
    ours = _our_qos(node, topic)
    misfits: dict[str, str] = {}
    for publisher in publishers:
        found = {policy: getattr(publisher.qos_profile, policy) for policy in _MATCHED
                 if not _fits(policy, publisher.qos_profile, ours)}
        if not found:
            return ''
        misfits |= {policy: f'{policy} offered is {value.name.lower()}, asked for is '
                    f'{getattr(ours, policy).name.lower()}: set the parameter '
                    f"'qos_overrides.{topic}.subscription.{policy}' to {value.name.lower()}, or "
                    "change the publisher's" for policy, value in found.items()}
    return '; '.join(misfits.values())


def _our_qos(node: Any, topic: str) -> QoSProfile:
    """Return the QoS of our subscription to a topic, that of any input where there is none."""
    return next((subscription.qos_profile for subscription in node.subscriptions
                 if subscription.topic_name == topic), input_qos())


def _fits(policy: str, theirs: QoSProfile, ours: QoSProfile) -> bool:
    """Say whether a subscription of ours can hear a publisher as far as one policy goes."""
    compatibility, _ = qos_check_compatible(
        *(QoSProfile(depth=1, **{policy: getattr(profile, policy)}) for profile in (theirs, ours)))
    return compatibility != QoSCompatibility.ERROR


def _other_transport(node: Any, silence: Silence) -> str:
    """Say how to take the images that the same camera publishes in the other transport, if any."""
    other, = TYPES.keys() - {silence.transport}
    name = silence.remap.removesuffix(COMPRESSED)
    base = silence.topic.removesuffix(COMPRESSED)
    topic = next((topic for topic in (base, base + COMPRESSED) if TYPES[other] in (
        info.topic_type for info in node.get_publishers_info_by_topic(topic))), '')
    if not topic:
        return ''
    text = f'{TYPES[other]} comes on {topic}: set input_transport to {other}'
    if node.resolve_topic_name(inputs(node, name.removesuffix(IMAGE), other).image) == topic:
        return text
    return f'{text} and {_remapping(name, other, topic)}'


def _remapping(name: str, transport: str, topic: str) -> str:
    """Say what to remap for images of a transport on a topic; `name` is that of raw images."""
    if transport == 'compressed' and topic.endswith(COMPRESSED):
        return f'remap {name} to {base_topic(topic)}'
    return f'remap {name}{COMPRESSED if transport == "compressed" else ""} to {topic}'


def _where_to_remap(node: Any, silence: Silence) -> str:
    """Name the topics that could be meant, those that somebody else publishes."""
    own = {publisher.topic_name for publisher in node.publishers}
    published = {of_type: sorted(name for name, types in node.get_topic_names_and_types()
                                 if of_type in types and name not in own
                                 and node.count_publishers(name)) for of_type in TYPES.values()}
    wanted = TYPES[silence.transport]
    to = "the camera's topic"
    if silence.transport == 'compressed' and not silence.remap.endswith(COMPRESSED):
        to += f' without {COMPRESSED}'
    text = f'remap {silence.remap} to {to}; '
    if like := published[wanted]:
        return f'{text}topics of type {wanted} are {", ".join(like)}'
    text += f'nobody publishes {wanted} at all'
    for transport, other in TYPES.items():
        if published[other]:
            name = silence.remap.removesuffix(COMPRESSED)
            remappings = ' or '.join(_remapping(name, transport, topic)
                                     for topic in published[other])
            return f'{text}, but {other} on {", ".join(published[other])}: for these set ' \
                f'input_transport to {transport} and {remappings}'
    return f'{text}; is the camera driver running, in this ROS_DOMAIN_ID?'


def other_users(folder: Path) -> list[str]:
    """
    Name the other users who have segments of Fast DDS in shared memory.

    Such a segment is for its owner alone: a publisher and a subscription of two users discover
    each other, but no message passes.
    """
    owners = set()
    for path in [*folder.glob('fastrtps_*'), *folder.glob('fastdds_*')]:
        try:
            owners.add(path.stat().st_uid)
        except OSError:  # gone meanwhile
            continue
    return [_user(owner) for owner in sorted(owners - {os.getuid()})]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        return f'user {number}'
