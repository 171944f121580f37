# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which kernel runs for each kind of work: chosen once for a device, kept for later starts."""

from __future__ import annotations

import fcntl
import functools
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from ubcn_ros.runtime.cache import cache_folder, digest, files_digest, versions
from ubcn_ros.runtime.device import processor
from ubcn_ros.whole_files import write_whole

_DRIVER = Path('/proc/driver/nvidia/version')
_LOG = logging.getLogger(__name__)


class KernelChoices:
    """
    Names of kernels by kind of work, in a JSON file that later starts read.

    A file that cannot be read or is damaged is left aside, with a warning, and written anew by the
    next choice. Where none can be written, which is a warning, too, choices hold for this process.

    :param path: of the file, whose name has the digest of what choices depend on; None keeps them
        in this process alone.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._names = self._read(_LOG.warning)

    def __len__(self) -> int:
        return len(self._names)

    def get(self, kind: str) -> str | None:
        """Return the name that was chosen for a kind of work, or None."""
        return self._names.get(kind)

    def keep(self, kind: str, name: str) -> str:
        """
        Keep what was chosen for a kind of work, for which ``get`` has none that can be run.

        :return: the name, or the one that another process has chosen and kept meanwhile.
        """
        before = self._names.get(kind)
        with self._locked():
            self._names |= self._read(_LOG.debug)  # it has been warned of
            if self._names.get(kind) == before:
                self._names[kind] = name
                self._write()
        return self._names[kind]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let other processes and threads wait, where the folder can be locked."""
        with ExitStack() as stack:
            if self.path is not None:
                with suppress(OSError):  # of a folder that cannot be made, writing tells
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    folder = os.open(self.path.parent, os.O_RDONLY)
                    stack.callback(os.close, folder)
                    fcntl.flock(folder, fcntl.LOCK_EX)
            yield

    def _read(self, tell: Callable[..., None]) -> dict[str, str]:
        if self.path is None:
            return {}
        try:
            names = json.loads(self.path.read_bytes())
            if not all(isinstance(name, str) for name in names.values()):
                raise ValueError('a name is not a string')
            return names
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            tell('kernel choices in %s are not used, and made anew: %s: %s', self.path,
                 type(error).__name__, error)
            return {}

    def _write(self) -> None:
        if self.path is None:
            return
        data = json.dumps(self._names, indent=1, sort_keys=True).encode() + b'\n'
        try:
            # durable: a vehicle is switched off at any time, and should start as it did
            write_whole(self.path, data, durable=True)
        except OSError as error:
            _LOG.warning('kernel choices cannot be kept, the next start makes them anew: %s: set '
                         'XDG_CACHE_HOME to a folder that can be written to', error)
            self.path = None


def choices_of(device: torch.device) -> KernelChoices:
    """Return the choices for a device; the same object for all engines of this process."""
    found = made_for(device)
    name, key = re.sub('[^A-Za-z0-9]+', '-', found['device']).strip('-'), digest(found)
    try:
        path = cache_folder() / 'kernels' / f'{name}-{key}.json'
    except OSError as error:
        _LOG.warning('kernel choices cannot be kept, every start makes them anew: %s', error)
        path = None
    return _opened(path, key)


@functools.cache
def _opened(path: Path | None, _key: str) -> KernelChoices:
    return KernelChoices(path)


def made_for(device: torch.device) -> dict[str, str]:
    """Return what choices depend on: the device, its driver, the libraries and our kernels."""
    name, capability = processor(device)
    found = {'device': str(name), 'capability': str(capability), 'torch': torch.__version__,
             'triton': versions('triton').get('triton', ''),
             'kernels': files_digest(Path(__file__).parent.glob('*.py'))}
    if device.type == 'cuda':
        # parts of one GPU have its name
        units = torch.cuda.get_device_properties(device).multi_processor_count
        found |= {'multiprocessors': str(units), 'driver': _driver(),
                  'cuda': str(torch.version.cuda), 'cudnn': str(torch.backends.cudnn.version())}
    return found


def _driver() -> str:
    """Return the line that names the NVIDIA driver; '' where the system does not tell."""
    try:
        return next(iter(_DRIVER.read_text().splitlines()), '')
    except OSError:
        return ''
