# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands whose ordinary mistakes end in a line of text, and groups that load theirs by name."""

from __future__ import annotations

import contextlib
import errno
import pkgutil
import re
import shlex
import signal
import sys
from collections.abc import Container, Iterator
from typing import Any

import click
from click.core import ParameterSource

from ubcn_ros.runtime.out_of_memory import out_of_memory
from ubcn_ros.stopping import Stopped, stop_on_signals

# module -> what pip calls it, an extra of setup.py or a package of install_requires
PACKAGES = {
    'PIL': 'ubcn_ros[train]', 'lightning': 'ubcn_ros[train]',
    'matplotlib': 'ubcn_ros[train]', 'pycocotools': 'ubcn_ros[train]',
    'tensorboard': 'ubcn_ros[train]', 'torchmetrics': 'ubcn_ros[train]',
    'onnx': 'ubcn_ros[export]', 'onnxruntime': 'ubcn_ros[export]', 'av': 'ubcn_ros[video]',
    'rclpy': 'ubcn_ros[ros]', 'sensor_msgs': 'ubcn_ros[ros]', 'diagnostic_msgs': 'ubcn_ros[ros]',
    'rerun': 'ubcn_ros[rerun]', 'ray': 'ubcn_ros[ray]',
    'torch': 'torch', 'safetensors': 'safetensors', 'rosbags': 'rosbags', 'numpy': 'numpy',
    'mcap': 'mcap', 'zstandard': 'zstandard', 'lz4': 'lz4',
    'tqdm': 'tqdm', 'yaml': 'pyyaml', 'cv2': 'opencv-python-headless', 'jinja2': 'jinja2',
}
_REMEDIES = {
    errno.ENOSPC: 'make room, or choose another place',
    errno.EDQUOT: 'make room, or choose another place',
    errno.EFBIG: 'choose another place',
    errno.EROFS: 'choose another place',
    errno.EISDIR: 'give a file',
    errno.ENOTDIR: 'a file is where a folder is needed: choose another path',
    errno.ENAMETOOLONG: 'choose a shorter name',
    errno.EMFILE: 'raise the limit (ulimit -n)',
}
# of PyTorch's RuntimeErrors those that say what the machine lacks; the others are bugs
_MACHINE = re.compile(r'No space left|PytorchStreamWriter|NVIDIA driver|no kernel image|'
                      r'busy or unavailable|address already in use|EADDRINUSE', re.IGNORECASE)


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """
    Turn what the user can mend into a ClickException, which is printed without a traceback.

    That is a package, file, device or memory that is not there, and every ValueError, which is
    what this package raises for a wrong value. Whatever else is raised is a bug and passes.
    """
    try:
        yield
    except click.ClickException as error:
        error.message = as_line(error.message)
        raise
    except Stopped as stop:  # a command that has more to say of it catches it first
        click.echo(f'Stopped by {stop}', err=True)
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:  # before the command runs; click's own exit code is an error's
        click.echo('Aborted!', err=True)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        text = _explained(error)
        if text is None:
            raise
        raise click.ClickException(as_line(text)) from error


def as_line(text: str) -> str:
    """Put a text that has several lines, or names a file whose name has, on one."""
    return ' '.join(part for line in text.splitlines() if (part := line.strip()))


def _explained(error: Exception) -> str | None:
    """Say what went wrong and what helps; None for a bug."""
    if isinstance(error, ModuleNotFoundError):
        package = PACKAGES.get((error.name or '').split('.')[0])
        return package and f"{error}: install it with pip install '{package}'"
    if isinstance(error, OSError):
        return None if error.errno == errno.EPIPE else _file_trouble(error)
    if isinstance(error, ValueError):  # also ModelFileError, BagError, ImageFileError
        return str(error)
    if out_of_memory(error):
        return explain_out_of_memory(error)
    if isinstance(error, RuntimeError) and _MACHINE.search(str(error)):
        return f'{_first_line(error)}: free what is missing, or choose another device or place'
    return None


def explain_out_of_memory(error: Exception) -> str:
    """Say of an error that `out_of_memory` tells what was asked for and what helps."""
    return (f'not enough memory: {_first_line(error)}: take a smaller image, batch or model, or '
            'another device')


def _file_trouble(error: OSError) -> str:
    if error.strerror is None:  # raised with a text of its own
        return str(error)
    gone = 'the current folder' if error.errno == errno.ENOENT else ''
    remedy = _REMEDIES.get(error.errno, 'choose a path that exists and that you may use')
    # a copy or move ends at the second of its files, where there is no room
    name = error.filename2 if error.errno in _REMEDIES and error.filename2 else error.filename
    return ': '.join(filter(None, (str(name or gone), error.strerror, remedy)))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ['no more is known'])[0].rstrip('.')


class Command(click.Command):
    """A command that ends an ordinary mistake, or by a signal, in one line, also by itself."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, where no output is an input."""
        from ubcn_ros.cli.clashes import check_clashes
        check_clashes(ctx)
        with one_line(), stop_on_signals():
            return super().invoke(ctx)


class LazyGroup(click.Group):
    """
    A group that imports its commands when they are asked for, whose modules import nothing heavy.

    :param lazy: name -> 'module:attribute'.
    """

    def __init__(self, *args: Any, lazy: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, importing none."""
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command of this name."""
        return pkgutil.resolve_name(self.lazy[name]) if name in self.lazy else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with the whole first line of its help."""
        with formatter.section('Commands'):
            formatter.write_dl([(name, self.get_command(ctx, name).get_short_help_str(100))
                                for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Import and run the command."""
        with one_line():
            return super().invoke(ctx)


def typed_command() -> str:
    """
    Return this process's command as typed, without --resume and --overwrite.

    A run that was interrupted says the same as one that was not.
    """
    return shlex.join(['ubcn', *(part for part in sys.argv[1:]
                                 if part not in ('--resume', '--overwrite'))])


def typed_options() -> dict[str, str]:
    """Return the options typed for the running command, by the names of its parameters."""
    context = click.get_current_context()
    return {option.name: option.opts[0] for option in context.command.params
            if isinstance(option, click.Option)
            and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE}


def refuse_options(names: Container[str], why: str) -> None:
    """
    Refuse options that would change nothing in this call.

    :param names: of their parameters.
    :param why: they would not.
    :raises click.UsageError: one of them was typed.
    """
    if given := [option for name, option in typed_options().items() if name in names]:
        raise click.UsageError(f'{why}: leave out {", ".join(given)}')
