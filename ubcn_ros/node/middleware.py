# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Say, before images are lost, that the middleware has no room for them, and what to set; ROS-free.

| middleware | images on one machine go through | room by default, and what sets it              |
|------------|----------------------------------|------------------------------------------------|
| Fast DDS   | the publisher's shared memory    | 512 KiB: segment_size of the profile           |
| Cyclone    | the subscriber's socket          | 1 MiB: SocketReceiveBufferSize, and the kernel |
| Zenoh      | TCP                              | none: a session with shared memory             |

The profile of Fast DDS is read, as the launch file sets one. Whoever configured Cyclone DDS or
Zenoh has chosen: that is not checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

FAST_DDS = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Variables with the path of the profile: of Fast DDS 2 (Jazzy), of Fast DDS 3."""
FAST_DDS_TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'
"""Variable with the transports, where nothing overrides it: see `builtin_transports`."""
DISCOVERY_RANGE, LOCALHOST_ONLY = 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOCALHOST_ONLY'
_OTHER_RANGES = ('', 'SUBNET', 'OFF', 'SYSTEM_DEFAULT')  # any other value is read as LOCALHOST
_FAST_DDS_2 = ('humble', 'iron', 'jazzy')
CYCLONE, ZENOH = 'CYCLONEDDS_URI', ('ZENOH_SESSION_CONFIG_URI', 'ZENOH_CONFIG_OVERRIDE')
_FAST_DDS_SEGMENT, _CYCLONE_BUFFER = 512 * 2**10, 2**20
_LOST = 'or large images are lost'
_ANY = './/{*}'  # elements below another, whatever their namespace


def builtin_transports(environment: Mapping[str, str]) -> str:
    """
    Return the transports of Fast DDS beside those of a profile, as FAST_DDS_TRANSPORTS has them.

    Where ROS is to stay on this machine, rmw_fastrtps takes the default ones, shared memory among
    them, whatever that variable says.
    """
    if environment.get(LOCALHOST_ONLY) == '1' \
            or environment.get(DISCOVERY_RANGE, '') not in _OTHER_RANGES:
        return 'DEFAULT'
    return environment.get(FAST_DDS_TRANSPORTS) or 'DEFAULT'


def fast_dds_profile(environment: Mapping[str, str], file: Path) -> dict[str, str]:
    """
    Return the variables that give Fast DDS this profile, or the one that it has already.

    Each version reads one of them: set to a profile of the user's, one stands for both. None where
    the user has chosen other transports without a profile: this one would override them.
    """
    theirs = next(filter(None, map(environment.get, FAST_DDS)), '')
    if not theirs and builtin_transports(environment) != 'DEFAULT':
        return {}
    return {name: theirs or str(file) for name in FAST_DDS if not environment.get(name)}


@dataclass(frozen=True)
class ImageLoad:
    """Size and number of the images that the node receives and sends."""

    width: int
    height: int
    cameras: int  # at least one
    depth: int  # of the history in which published images wait for their subscribers

    @property
    def image(self) -> int:
        """Bytes of an image of three colours."""
        return 3 * self.width * self.height

    @property
    def sent(self) -> int:
        """Bytes that may be under way of the derained images."""
        return self.image * self.depth * self.cameras

    @property
    def received(self) -> int:
        """Bytes that arrive where all cameras take a picture at once."""
        return self.image * self.cameras

    def __str__(self) -> str:
        each = f'{self.cameras} cameras of ' if self.cameras > 1 else ''
        return f'{each}{self.width}x{self.height}, {_mib(self.image)} an image'


@dataclass(frozen=True)
class Host:
    """Where this machine states its limits."""

    shared_memory: Path = Path('/dev/shm')
    receive_buffer: Path = Path('/proc/sys/net/core/rmem_max')


def explain_room(rmw: str, load: ImageLoad, environment: Mapping[str, str], host: Host = Host()
                 ) -> str:
    """
    Say which setting is too small for these images, and what to set; '' where all suffice.

    :param rmw: name of the middleware's implementation, as rclpy tells it.
    :param load: whose size is 0 where it is not known.
    """
    if not load.image:
        return ''
    for name, check in (('fastrtps', _fast_dds), ('cyclonedds', _cyclone), ('zenoh', _zenoh)):
        if name in rmw:
            try:
                return check(load, environment, host)
            except (OSError, ValueError) as error:
                return f'what {rmw} is configured by cannot be read: {error}'
    return ''


def _number(text: str, name: str) -> int:
    """Read a number of bytes, decimal or hexadecimal; ValueError names what it is of."""
    if not re.fullmatch(r'0[xX][\da-fA-F]+|\d+', text):
        raise ValueError(f"{name} is '{text}', not a number of bytes, like 134217728")
    return int(text, 16 if text[:2] in ('0x', '0X') else 10)


def _fast_dds(load: ImageLoad, environment: Mapping[str, str], host: Host) -> str:
    variable = _profile_variable(environment)
    if path := environment.get(variable):
        try:
            segment, where = profile_segment(Path(path)), f'segment_size in {path}'
        except (OSError, ValueError, ElementTree.ParseError) as error:
            raise ValueError(f'{variable}: {error}; mend the file, or unset the variable'
                             ) from error
    else:
        builtin = builtin_transports(environment).partition('?')[0]
        segment = _FAST_DDS_SEGMENT if builtin in ('DEFAULT', 'DEFAULTv6', 'SHM') else None
        where = f'as {variable} is not set, segment_size'
    if segment is None:  # another transport was chosen
        return ''
    if segment < load.sent:
        file = 'config/fastdds.xml' if not path else f'a copy with {load.sent} or more in it'
        return (f'Fast DDS: shared memory for {_mib(load.sent)} is needed ({load}, {load.depth} '
                f'under way), and {where} is {_mib(segment)}. Set {variable} to '
                f'{file}, for the camera driver, too, {_LOST}')
    status = os.statvfs(host.shared_memory)
    room = status.f_frsize * status.f_blocks
    if room < 2 * segment:
        return (f'Fast DDS: {host.shared_memory} holds {_mib(room)}, less than the segments of '
                f'{_mib(segment)} of the node and of a camera driver. Start the container with '
                f'--shm-size={-(-4 * segment // 2**20)}m or --ipc=host, or their processes may '
                'end with a bus error')
    return ''


def _profile_variable(environment: Mapping[str, str]) -> str:
    """Return the variable that this distribution's Fast DDS reads; one that is set, if unknown."""
    if distribution := environment.get('ROS_DISTRO'):
        return FAST_DDS[distribution not in _FAST_DDS_2]
    return next(filter(environment.get, FAST_DDS), FAST_DDS[0])


def profile_segment(path: Path) -> int | None:
    """
    Return the bytes of shared memory that a profile of Fast DDS gives a publisher.

    :return: None where its default participant uses none.
    :raises OSError: the file cannot be read.
    :raises ElementTree.ParseError: it is not XML.
    :raises ValueError: a segment_size is not a number; the text names the file.
    """
    root = ElementTree.parse(path).getroot()
    sizes = {}
    for transport in root.iterfind(_ANY + 'transport_descriptor'):
        kind, name, size = (transport.findtext(_ANY + tag, '').strip() for tag in (
            'type', 'transport_id', 'segment_size'))
        if kind == 'SHM':
            sizes[name] = _number(size, f'segment_size in {path}') if size else _FAST_DDS_SEGMENT
    participant = next((found for found in root.iterfind(_ANY + 'participant')
                        if found.get('is_default_profile') == 'true'), None)
    if participant is None:
        return _FAST_DDS_SEGMENT
    used = [sizes[name] for found in participant.iterfind(
        _ANY + 'userTransports//{*}transport_id') if (name := (found.text or '').strip()) in sizes]
    if participant.findtext(_ANY + 'useBuiltinTransports', '').strip() != 'false':
        used.append(_FAST_DDS_SEGMENT)
    return max(used, default=None)


def _cyclone(load: ImageLoad, environment: Mapping[str, str], host: Host) -> str:
    limit = int(host.receive_buffer.read_text())
    remedies = []
    if not environment.get(CYCLONE) and _CYCLONE_BUFFER < load.received:
        remedies.append(f'as {CYCLONE} is not set, SocketReceiveBufferSize is '
                        f'{_mib(_CYCLONE_BUFFER)}: set {CYCLONE} to config/cyclonedds.xml, or a '
                        'copy with more in it')
    if limit < load.received:
        remedies.append(f'net.core.rmem_max is {_mib(limit)}: sudo sysctl -w '
                        f'net.core.rmem_max={load.received}')
    if not remedies:
        return ''
    return (f'Cyclone DDS: a receive buffer of {_mib(load.received)} is needed ({load}). '
            f'{"; ".join(remedies)}; {_LOST}')


def _zenoh(load: ImageLoad, environment: Mapping[str, str], _host: Host) -> str:
    if any(map(environment.get, ZENOH)):
        return ''
    return (f'Zenoh: images ({load}) go through TCP, as neither {ZENOH[0]} nor {ZENOH[1]} is set: '
            f'set the first to config/zenoh.json5, for the camera driver, too, {_LOST}')


def _mib(count: int) -> str:
    return f'{count / 2**20:.1f} MiB'
