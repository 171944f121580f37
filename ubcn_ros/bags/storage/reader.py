# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read a bag: its topics as one list, their messages in the order of time, and what is missing."""

from __future__ import annotations

import math
import resource
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from mcap.records import Attachment

from ubcn_ros.bag_names import ROSBAG2_SUFFIXES, has_bag_name
from ubcn_ros.bags.errors import BagError, BagOutOfReach, reason
from ubcn_ros.bags.messages import ZSTD_MAGIC
from ubcn_ros.bags.storage.metadata import BagMetadata, read_metadata
from ubcn_ros.bags.storage.opening import decompress_message, open_storage
from ubcn_ros.bags.storage.reach import check_in_reach
from ubcn_ros.bags.storage.records import Channel, Record, SortedRecords, Storage, merge

_OTHER_FILES = 512  # libraries, sockets, outputs
_HOW = 'give a rosbag2 folder (with metadata.yaml), an .mcap, .db3 or .bag file, or their folder'


class Connection(NamedTuple):
    """
    A topic of a bag, of all its publishers.

    `msgtype` is like 'sensor_msgs/msg/Image', `msgcount` the number of messages that metadata.yaml
    or the storage announces, whichever is larger, `serialization` is 'cdr' for ROS 2.
    """

    topic: str
    msgtype: str
    msgcount: int
    serialization: str

    @property
    def kind(self) -> tuple[str, str, str]:
        """As of `Channel`."""
        return self.topic, self.msgtype, self.serialization


class BagReader:
    """
    An open bag. Use `open_bag`.

    What could be read in spite of something odd is in `notes`, a line each, for a warning; what
    could not be read is told by `problems`.
    """

    def __init__(self, path: Path, stack: ExitStack):
        self.path = path
        self._lost: list[str] = []
        metadata, self.notes = read_metadata(path) if path.is_dir() else (None, [])
        self.custom_data = metadata.custom_data if metadata else {}
        """What metadata.yaml says of the recording beside its content."""
        self.files = self._choose_files(metadata) if path.is_dir() else [path]
        """Storage files, in the order that they are read in."""
        self._storages = self._open(self.files, stack)
        if metadata is None and not all(storage.complete for storage in self._storages):
            self._lost, self.notes = self.notes + self._lost, []
        stored: Counter[tuple[str, str, str]] = Counter()
        for storage in self._storages:
            self.notes += storage.notes
            for number, channel in storage.channels.items():
                stored[channel.kind] += storage.counts[number]
        said = [stored] if metadata is None else [self._as_stored(metadata.counts, stored), stored]
        self._announced: dict[Connection, list[int]] = {}
        for key in dict.fromkeys(key for counts in said for key in counts):
            numbers = [counts[key] for counts in said]
            topic, msgtype, serialization = key
            self._announced[Connection(topic, msgtype, max(numbers), serialization)] = numbers
        self.connections = list(self._announced)

    @property
    def channels(self) -> list[Channel]:
        """What is stored of each topic, by publisher, in the order of the files."""
        return list(dict.fromkeys(channel for storage in self._storages
                                  for channel in storage.channels.values()))

    def channels_of(self, *connections: Connection) -> list[Channel]:
        """Return the channels that topics are stored in, as `records` takes them."""
        kinds = {connection.kind for connection in connections}
        return [channel for channel in self.channels if channel.kind in kinds]

    @property
    def start_ns(self) -> int | None:
        """Time of recording of the first message, ns; None for an empty bag."""
        return min((span[0] for storage in self._storages if (span := storage.span)), default=None)

    @property
    def end_ns(self) -> int | None:
        """Time of recording of the last message, ns; None for an empty bag."""
        return max((span[1] for storage in self._storages if (span := storage.span)), default=None)

    def parts(self, pause_ns: int) -> list[tuple[int, int]]:
        """
        Return the ranges of time, ns, that lie between longer pauses, in order, ends not included.

        :param pause_ns: without a message of any topic.
        """
        parts: list[tuple[int, int]] = []
        for first, last in sorted(chain.from_iterable(s.spans() for s in self._storages)):
            if parts and first - parts[-1][1] < pause_ns:
                parts[-1] = parts[-1][0], max(parts[-1][1], last + 1)
            else:
                parts.append((first, last + 1))
        return parts

    @property
    def indexed(self) -> bool:
        """Whether a part of the bag can be read without going through all of a file."""
        return all(storage.indexed for storage in self._storages)

    def records(self, channels: Collection[Channel] | None = None,
                start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Record]:
        """
        Yield records as they are stored, in the order of recording; reads only what it needs.

        Those of equal times come in the order of the files. What is damaged is passed over.
        Messages that rosbag2 compressed one by one (zstd) come decompressed.

        :param channels: of this bag; None takes all.
        :param start_ns: take records from this time of recording on.
        :param end_ns: take records before this time.
        """
        taken = set(self.channels if channels is None else channels)
        start = -math.inf if start_ns is None else start_ns
        end = math.inf if end_ns is None else end_ns
        parts = []
        for rank, storage in enumerate(self._storages):
            chosen = {number for number, channel in storage.channels.items() if channel in taken}
            if chosen and (span := storage.span) and span[1] >= start and span[0] < end:
                parts.append(SortedRecords(max(span[0], start), rank,
                                           storage.records(chosen, start, end)))
        for record in merge(sorted(parts, key=attrgetter('first_ns', 'rank'))):
            if record.data[:4] == ZSTD_MAGIC and record.channel.encoding == 'cdr':
                record = record._replace(data=decompress_message(record.data))
            yield record

    def attachments(self) -> Iterator[Attachment]:
        """Yield the attachments, in the order of the files."""
        for storage in self._storages:
            yield from storage.attachments()

    def metadata_records(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield name and content of the metadata records, in the order of the files."""
        for storage in self._storages:
            yield from storage.metadata_records()

    @property
    def damage(self) -> list[str]:
        """What could not be read, of all topics, a line each; the files are checked once."""
        for storage in self._storages:
            storage.check()
        return self.met

    @property
    def met(self) -> list[str]:
        """`damage` that opening and reading have met by now; may be asked while a thread reads."""
        return [*self._lost, *(line for s in self._storages for line in s.problems)]

    def problems(self, connection: Connection, found: int) -> list[str]:
        """
        Tell what could not be read, and what a topic has of another type, a line each.

        To be asked after `records` came to its end.

        :param found: the number of messages of this connection that it yielded.
        """
        lines = [f'{c.topic}: {c.msgcount} messages of type {c.msgtype or "(none)"}, encoded as '
                 f'{c.serialization or "(nothing)"}, were left out: of this topic only '
                 f'{connection.msgtype}, encoded as {connection.serialization}, is read; give '
                 'each type and encoding a topic of its own' for c in self.connections
                 if c.topic == connection.topic and c != connection and c.msgcount]
        return [*self.damage, *lines, *self.count_problems(connection, found)]

    def count_problems(self, connection: Connection, found: int) -> list[str]:
        """Tell where another number of messages is announced than was found."""
        announced = self._announced.get(connection, [0])
        if different := [number for number in announced if number != found]:
            remedy = ('give another copy, if there is one'
                      if self.damage or announced[-1] != found else
                      f'if {self.path} was edited, `ros2 bag reindex` counts them anew')
            return [f'{connection.topic}: {different[0]} messages are announced, {found} were '
                    f'found; {remedy}']
        return []

    def stored(self, connection: Connection) -> int:
        """Return how many messages the files have, whatever metadata.yaml says."""
        return self._announced[connection][-1]

    def _as_stored(self, said: Counter[tuple[str, str]],
                   stored: Counter[tuple[str, str, str]]) -> Counter[tuple[str, str, str]]:
        """
        Tell what metadata.yaml says by the types and encodings of the storage, which decides.

        rosbag2 counts by topic: of several types and encodings, the one that metadata.yaml names,
        as CDR, takes the difference to what the storage has of the others.
        """
        counts: Counter[tuple[str, str, str]] = Counter()
        for (topic, msgtype), number in said.items():
            kinds = sorted((key for key in stored if key[0] == topic
                            and (key[1] == msgtype or key[:2] not in said)),
                           key=lambda key: (key[1] != msgtype, key[2] != 'cdr'))
            first, *others = kinds or [(topic, msgtype, 'cdr')]
            if first[1] != msgtype:
                self.notes.append(f'{self.path / "metadata.yaml"} says that {topic} is of type '
                                  f'{msgtype}, but what is stored is of type {first[1]}, which is '
                                  'taken; `ros2 bag reindex` corrects it')
            for key in others:
                counts[key] += stored[key]
            counts[first] += max(0, number - sum(stored[key] for key in others))
        return counts

    def _choose_files(self, metadata: BagMetadata | None) -> list[Path]:
        """Take the files that metadata.yaml names, else those that are there."""
        names = sorted(path for path in self.path.iterdir() if not path.name.startswith('.'))
        there = [path for path in names if has_bag_name(path.name, ROSBAG2_SUFFIXES)]
        if metadata is None or not metadata.files:
            if not there:  # of ROS 1, which has no metadata.yaml
                there = [path for path in names if has_bag_name(path.name)]
                if len(there) > 1:
                    self.notes.append(f'{", ".join(path.name for path in there)} in {self.path} '
                                      'were read as one recording')
            if not there:
                raise BagError(f'no bag at {self.path}: {_HOW}')
            return self._once(there)
        files = [_renamed(self.path / name) for name in metadata.files]
        missing = [file for file in files if not file.exists()]
        if len(missing) == len(files):
            names = ', '.join(metadata.files)
            if len(there) != len(files):
                raise BagError(
                    f'{self.path} names {names} in its metadata.yaml, which '
                    f'{"is" if len(files) == 1 else "are"} missing: '
                    + (f'give one of {", ".join(map(str, there))}' if there else
                       'copy the bag again, with all its files'))
            self.notes.append(f'{self.path} names {names} in its metadata.yaml, but holds '
                              f'{", ".join(file.name for file in there)}, which is read instead; '
                              '`ros2 bag reindex` corrects it')
            return there
        self.notes += [f'{file}, which metadata.yaml does not name, was not read; '
                       '`ros2 bag reindex` adds it' for file in there
                       if file not in files]
        self._lost += [f'{file}, which metadata.yaml names, is missing: the others were read; '
                          'copy the bag again, with all its files' for file in missing]
        return [file for file in files if file not in missing]

    def _once(self, files: list[Path]) -> list[Path]:
        """Leave out compressed files that are there as they were before, too."""
        twice = [file for file in files if file.suffix == '.zstd'
                 and file.with_suffix('') in files]
        self.notes += [f'{file} was not read, as {file.stem} is there, too: a recorder that is '
                       'killed while it compresses leaves both' for file in twice]
        return [file for file in files if file not in twice]

    def _open(self, files: list[Path], stack: ExitStack) -> list[Storage]:
        """Open those files that can be read; of the others keep the problem, if any can."""
        storages = []
        _allow_open(len(files))
        for file in files:
            try:
                storages.append(open_storage(file, stack, self._lost))
            except BagError as error:
                if len(files) == 1 or isinstance(error, BagOutOfReach):
                    raise
                self._lost.append(str(error))
        if not storages:
            raise BagError(self._lost[0])
        return storages


def _allow_open(files: int) -> None:
    """Let this process have a bag's files open beside what it has, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # two of each (sqlite_file.py), and another reader compares what was written
    wanted = 3 * files + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _renamed(file: Path) -> Path:
    """Return a file's name as it is after (de)compression, if it is there under that name only."""
    other = file.with_name(file.name.removesuffix('.zstd') if file.suffix == '.zstd'
                           else file.name + '.zstd')
    return other if other.exists() and not file.exists() else file


@contextmanager
def open_bag(path: Path | str) -> Iterator[BagReader]:
    """
    Open a rosbag2 folder, its .mcap or .db3 file, or a .bag file of ROS 1 or their folder.

    What is damaged is read as far as it is whole; see `BagReader.problems`.

    :raises BagError: missing, or nothing of it can be read.
    :raises BagOutOfReach: its disk or server is gone.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            if not path.exists():
                raise BagError(f'no bag at {path}: {_HOW}')
            reader = BagReader(path, stack)
        except OSError as error:
            check_in_reach(path, str(path), error)
            raise BagError(f'{path} cannot be read: {reason(error)}; give a bag that you may '
                           'read') from error
        yield reader
