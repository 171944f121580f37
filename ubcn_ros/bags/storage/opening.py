# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open a bag's storage file by what it holds: mcap, sqlite3 or ROS 1; also with zstd."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import zstandard

from ubcn_ros.bag_names import PROCESSED
from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.messages import LZ4_MAGIC, ZSTD_MAGIC
from ubcn_ros.bags.storage.mcap_file import McapFile
from ubcn_ros.bags.storage.reach import check_in_reach
from ubcn_ros.bags.storage.records import Storage
from ubcn_ros.bags.storage.sqlite_file import SqliteFile

_MAGICS = {'mcap': b'\x89MCAP', 'sqlite3': b'SQLite format 3', 'ROS 1': b'#ROSBAG'}
_ANOTHER_COPY = 'give another copy of the file, if there is one'
_BLOCK = 16384  # bytes; what comes of a block that turns out to be damaged is lost


def storage_kind(magic: bytes) -> str | None:
    """Tell a storage by a file's first 16 bytes: mcap, sqlite3 or ROS 1; None for no storage."""
    return next((kind for kind, start in _MAGICS.items() if magic.startswith(start)), None)


def open_storage(path: Path, stack: ExitStack, lost: list[str], name: str | None = None
                 ) -> Storage:
    """
    Open a storage file; what it holds counts, not its name.

    :param stack: closes the file and removes temporary copies.
    :param lost: takes a line where the end of a compressed file could not be read.
    :param name: for the texts of errors; None takes the path.
    :raises BagError: it is none, or nothing in it can be read.
    """
    name = name or str(path)
    try:
        with path.open('rb') as file:
            magic = file.read(16)
        if magic.startswith(ZSTD_MAGIC):
            copy, problem = _decompressed(path, stack)
            if problem and not copy.stat().st_size:
                raise BagError(f'{name} cannot be read: {problem}; {_ANOTHER_COPY}')
            storage = open_storage(copy, stack, lost, name)
            storage.indexed = False
            if problem:
                lost.append(f'{name}: {problem}: what is whole before was read; {_ANOTHER_COPY}')
            return storage
        kind = storage_kind(magic)
        if kind == 'mcap':
            return stack.enter_context(McapFile(path, name))
        if kind == 'sqlite3':
            recovered = _recoverable_copy(path, stack)
            return stack.enter_context(SqliteFile(recovered or path, name, recovered is not None))
        if kind == 'ROS 1':
            from ubcn_ros.bags.storage.ros1_file import (
                Ros1File,  # the converter takes time to load
            )
            return stack.enter_context(Ros1File(path, name))
    except OSError as error:
        check_in_reach(path, name, error)
        raise BagError(f'{name} cannot be read: {reason(error)}; give a file that you may '
                       'read') from error
    if magic.startswith(LZ4_MAGIC):
        raise BagError(f'{name} is compressed with lz4, and only zstd is read: decompress it '
                       'with `lz4 -d`, and give the file that this makes')
    if not magic:
        remedy = ('go on with it by `ubcn bag process --resume`'
                  if (Path(path).parent / PROCESSED).is_file() else 'remove it and record again')
        raise BagError(f'{name} is empty: nothing had been written when its recording ended; '
                       f'{remedy}')
    raise BagError(f'{name} cannot be read: it holds none of {", ".join(_MAGICS)}; give a '
                   'rosbag2 folder, or an .mcap, .db3 or .bag file')


def decompress_message(data: bytes) -> bytes:
    """
    Decompress a message that is compressed with zstd.

    :return: the data as they are where they are damaged, too; they are not CDR then.
    """
    whole, left = [], data
    try:
        while left:  # several frames are one message
            decompressor = zstandard.ZstdDecompressor().decompressobj()
            whole.append(decompressor.decompress(left))
            if not decompressor.eof:
                return data
            left = decompressor.unused_data
    except (zstandard.ZstdError, MemoryError):
        return data
    return b''.join(whole)


def _decompressed(path: Path, stack: ExitStack) -> tuple[Path, str | None]:
    """Decompress a file as far as it goes; also return what stopped that."""
    folder = _temporary(stack)
    copy = folder / path.name.removesuffix('.zstd')
    problem, decompressor, block = None, zstandard.ZstdDecompressor().decompressobj(), b''
    with path.open('rb') as source, copy.open('wb') as target:
        while problem is None and (block := block or source.read(_BLOCK)):
            if decompressor.eof:  # a file may hold several frames
                decompressor = zstandard.ZstdDecompressor().decompressobj()
            try:
                _write(target, decompressor.decompress(block), folder)
                block = decompressor.unused_data
            except zstandard.ZstdError as error:
                problem = f'its zstd compression is damaged ({reason(error)})'
    if problem is None and not decompressor.eof:
        problem = 'it is cut off'
    return copy, problem


def _recoverable_copy(path: Path, stack: ExitStack) -> Path | None:
    """Copy a database with its journal, where it has one: SQLite recovers by writing to it."""
    path = path.resolve()  # SQLite keeps the journal beside the file itself, not beside a link
    journals = [journal for journal in (Path(f'{path}-wal'), Path(f'{path}-journal'))
                if journal.exists() and journal.stat().st_size]
    if not journals:
        return None
    folder = _temporary(stack)
    for source in (path, *journals):
        with source.open('rb') as file, (folder / source.name).open('wb') as target:
            while block := file.read(_BLOCK):
                _write(target, block, folder)
    return folder / path.name


def _temporary(stack: ExitStack) -> Path:
    return Path(stack.enter_context(TemporaryDirectory(prefix='ubcn_bag_')))


def _write(target: BinaryIO, block: bytes, folder: Path) -> None:
    try:
        target.write(block)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BagError(f'no room for a temporary copy of the bag in {folder.parent}: '
                       f'{reason(error)}; set TMPDIR to a folder on another disk') from error
