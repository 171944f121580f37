# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What writers of bags have in common, whatever their storage: how they begin, fail and end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ubcn_ros.bags.errors import write_error
from ubcn_ros.stopping import signals_held

FLUSH_SECONDS = 1.0
"""How often what is written goes to the disk, so that a kill or power cut loses no more."""


class StorageWriter:
    """
    Base: a folder that is made, written to between signals, and removed where nothing is in it.

    A context manager. After a first failure everything fails with its text.

    :param folder: to make.
    """

    failures: tuple[type[Exception], ...] = (OSError,)
    """Errors of the storage, which become a BagError."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self._made = False
        self._failure: Exception | None = None

    def __enter__(self) -> Any:
        try:
            with self._writing():
                self._begin()
        except BaseException:  # a signal, too
            self._abandon()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with signals_held():
            try:
                if self._failure is not None:
                    raise self._failure
                self._finish()
            except self.failures as error:
                self._abandon()
                if kind is None:
                    raise write_error(self.folder, error) from error

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
            except self.failures as error:
                self._failure = error
                raise write_error(self.folder, error) from error

    def _begin(self) -> None:
        """Make the folder, or go on with the one that is there."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Close the bag, whole."""
        raise NotImplementedError

    def _abandon(self) -> None:
        """Close the file as it is; remove the bag where no message of it is whole."""
        raise NotImplementedError
