# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write a bag of mcap files that is whole whatever ends the writing, and go on with one."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcap.records import Attachment

from ubcn_ros.bags.errors import BagError, check_bag_name, exists_error, write_error
from ubcn_ros.bags.messages import TYPES
from ubcn_ros.bags.storage.channels import read_yaml, ros_channel
from ubcn_ros.bags.storage.mcap_file import McapFile
from ubcn_ros.bags.storage.mcap_output import McapOutput
from ubcn_ros.bags.storage.mcap_tail import Tail, find_tail
from ubcn_ros.bags.storage.metadata import NAME, VERSION, empty_metadata, write_metadata
from ubcn_ros.bags.storage.records import Channel, Record
from ubcn_ros.stopping import signals_held
from ubcn_ros.whole_files import sync_folder

_FLUSH_S = 1.0  # a kill or power cut loses what was written in this time, no more
_TIMES = range(2**64)  # ns that the format can hold
_ALL = sys.maxsize


class McapBagWriter:
    """
    Writes records as they are into NAME/NAME_0.mcap and so on, with metadata.yaml.

    A context manager. The bag is whole also when an exception or a signal ends it; what was
    written a second before a kill, a power cut or a full disk is readable, and `reopen` goes on
    from there. A folder that this writer made and was given no message to is removed after an
    exception or a signal; after a full disk also one in which no message is whole. After a first
    failure everything fails with its text.

    :param folder: to make.
    :param split_bytes: begin another file before one has more bytes, those of its summary and
        definitions not counted; None: never.
    :param split_ns: begin another file where one has messages of so many ns.
    :param custom_data: of the recording, for metadata.yaml.
    :param claim: called with the folder when it is made, before anything is in it, or when it is
        there already, before that is told; where it raises, or another has written there
        meanwhile, the folder is left as it is.
    :raises BagError: it exists, or cannot be written; as all methods do.
    """

    def __init__(self, folder: Path | str, *, split_bytes: int | None = None,
                 split_ns: int | None = None, custom_data: Mapping[str, str] | None = None,
                 claim: Callable[[Path], object] = lambda folder: None):
        check_bag_name(folder)
        self.folder = Path(folder)
        self._made, self._claim = False, claim
        self._failure: Exception | None = None
        self._name, self._custom_data = self.folder.resolve().name, custom_data
        self._split_bytes, self._split_ns = split_bytes, split_ns
        self._whole: list[str] = []  # files before the one that is written
        self._messages = 0  # in them
        self._file: McapOutput | None = None
        self._keep: int | None = None  # of a bag that goes on, messages
        self._flushed = time.monotonic()

    @classmethod
    def reopen(cls, folder: Path | str, keep: int = _ALL, **options) -> McapBagWriter:
        """
        Go on with a bag that this class made, wherever it was interrupted.

        When it is entered, what is not whole is removed, and metadata.yaml until it is closed;
        `messages` then says how many there are. Attachments and metadata records stay where a
        message that was written after them does.

        :param keep: the number of messages to keep, in the order of writing; where fewer are
            whole, nothing is changed, and entering raises BagError. By default all that are whole.
        :param options: as for a new bag.
        """
        writer = cls(folder, **options)
        writer._keep = keep
        return writer

    def __enter__(self) -> McapBagWriter:
        try:
            with self._writing():
                if self._keep is None:
                    self._make()
                else:
                    self._go_on(self._keep)
        except BaseException:  # a signal, too
            self._abandon()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with signals_held():
            if kind is not None and self._made and not self.messages:
                self._abandon()
                return
            try:
                if self._failure is not None:
                    raise self._failure
                self._file.finish()
                write_metadata(self.folder, [*self._whole, self._file.path.name],
                               self._custom_data)
            except OSError as error:
                self._abandon()
                if kind is None:
                    raise write_error(self.folder, error) from error

    @property
    def messages(self) -> int:
        """The number of messages in the bag."""
        return self._messages + (self._file.messages if self._file else 0)

    def add_channel(self, channel: Channel) -> None:
        """Write a channel that may have no message; the others are written with their first."""
        with self._writing():
            self._file.add_channel(channel)

    def write(self, record: Record) -> None:
        """Write a message as it is, behind those before."""
        check_times(record)
        with self._writing():
            if self._is_full(record):
                self._split()
            self._file.write(record)
            if time.monotonic() - self._flushed >= _FLUSH_S:
                self._flush()

    def write_message(self, topic: str, msgtype: str, message: Any, time_ns: int) -> None:
        """
        Write a message of one of `TYPES`, behind those before.

        :param msgtype: like 'sensor_msgs/msg/Image'.
        :param message: as rosbags has it, or serialized (CDR) bytes.
        :param time_ns: the time that it counts as recorded and published at.
        """
        if not isinstance(message, bytes | memoryview):
            message = TYPES.serialize_cdr(message, msgtype)
        self.write(Record(ros_channel(topic, msgtype), time_ns, time_ns, 0, message))

    def attach(self, attachment: Attachment) -> None:
        """Write an attachment as it is."""
        with self._writing():
            self._file.attach(attachment)

    def add_metadata(self, name: str, metadata: Mapping[str, str]) -> None:
        """Write a metadata record as it is."""
        with self._writing():
            self._file.add_metadata(name, dict(metadata))
            if name == 'rosbag2' and not _describes_us(metadata):
                # rosbag2 reads the QoS of channels by the last of these
                self._file.add_metadata(name, {'serialized_metadata': empty_metadata()})

    def flush(self) -> None:
        """Wait until all that was written is readable on the disk."""
        with self._writing():
            self._flush()

    def remove(self) -> None:
        """Remove the folder, if this writer made it."""
        if self._made:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Finish what is being written before a signal stops it; keep the first failure."""
        if self._failure is not None:
            raise write_error(self.folder, self._failure) from self._failure
        with signals_held():
            try:
                yield
            except OSError as error:
                self._failure = error
                raise write_error(self.folder, error) from error

    def _make(self) -> None:
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            if os.path.isdir(self.folder):
                self._claim(self.folder)
            if os.path.exists(self.folder):  # unlike Path's it never raises
                raise exists_error(self.folder) from error
            raise
        self._claim(self.folder)
        if any(self.folder.iterdir()):
            raise exists_error(self.folder)
        self._made = True
        self._start_file(0)

    def _go_on(self, keep: int) -> None:
        """Keep whole files up to the one that is cut off, or in which enough messages are."""
        files = self._numbered()
        for number, path in enumerate(files):
            left = keep - self._messages
            if path != files[-1]:
                with McapFile(path, str(path)) as file:
                    count = sum(file.counts.values())
                if count < left:
                    self._whole.append(path.name)
                    self._messages += count
                    continue
            tail = find_tail(path, left)  # nothing is removed before it is known
            self._check_kept(path, tail, keep)
            (self.folder / NAME).unlink(missing_ok=True)
            for surplus in files[number + 1:]:
                surplus.unlink()
            if tail is None:
                path.unlink()
                self._start_file(number)
            else:
                self._file = McapOutput(path, tail)
            return

    def _check_kept(self, path: Path, tail: Tail | None, keep: int) -> None:
        """
        Check that the files up to one that goes on at `tail` hold all messages to keep.

        :raises BagError: they do not.
        """
        kept = self._messages + (tail.messages + len(tail.pending) if tail else 0)
        if kept < keep != _ALL:
            raise BagError(f'{path} cannot be continued: of {keep} messages that were written, '
                           f'{kept} are whole; nothing was changed: check its disk, copy what is '
                           f'there if you need it, remove {self.folder}, and write it again')

    def _numbered(self) -> list[Path]:
        """List the files in the order of their numbers, and take their name, as of before."""
        names = sorted(path.name for path in self.folder.glob('*.mcap'))
        there = [match for name in names if (match := re.fullmatch(r'(.+)_(\d+)\.mcap', name))]
        stems = {match[1] for match in there}
        if len(stems) > 1:  # others may have been put there
            there = [match for match in there if match[1] == self._name]
        if not there:
            raise BagError(f'bag {self.folder} cannot be resumed: its files are '
                           f'{", ".join(names) or "(none)"}, not of one bag that ubcn made, as '
                           f'{self._name}_0.mcap; move what is not of it elsewhere, or give '
                           'another path')
        self._name = there[0][1]  # another where the folder was renamed
        return [self.folder / match[0] for match in sorted(there, key=lambda m: int(m[2]))]

    def _start_file(self, number: int) -> None:
        self._file = McapOutput(self.folder / f'{self._name}_{number}.mcap')
        sync_folder(self.folder)  # else a power cut may lose the file's name

    def _is_full(self, record: Record) -> bool:
        file = self._file
        if file.first_ns is None:
            return False
        return ((self._split_bytes is not None and file.size_with(record) > self._split_bytes)
                or (self._split_ns is not None
                    and record.time_ns - file.first_ns >= self._split_ns))

    def _split(self) -> None:
        self._file.finish()
        self._whole.append(self._file.path.name)
        self._messages += self._file.messages
        self._start_file(len(self._whole))

    def _flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()

    def _abandon(self) -> None:
        """Close the file as it is; remove the bag where no message of it can be read."""
        if self._file is not None:
            self._file.abandon()
        if not self._holds_messages():
            self.remove()

    def _holds_messages(self) -> bool:
        """Say whether any message is whole on the disk."""
        if self._whole or self._file is None:
            return bool(self._whole)
        try:
            tail = find_tail(self._file.path, 1)
        except (BagError, OSError):  # it may be there, but cannot be read now
            return True
        return tail is not None and bool(tail.messages or tail.pending)


def check_times(record: Record) -> None:
    """
    Check that the format can hold the times of a message.

    :raises BagError: it cannot.
    """
    for what, time_ns in (('recorded', record.time_ns), ('published', record.publish_ns)):
        if time_ns not in _TIMES:
            raise BagError(f'a message of {record.channel.topic} was {what} at {time_ns} ns, '
                           'which mcap cannot hold: correct the time in its source')


def _describes_us(metadata: Mapping[str, str]) -> bool:
    """Return whether rosbag2's record of its file fits a file of this writer."""
    try:
        information = read_yaml(metadata['serialized_metadata'])
        return information['version'] == VERSION and not information['compression_mode']
    except Exception:  # a text of any content
        return False
