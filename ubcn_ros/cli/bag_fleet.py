# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag process` on many bags, with many workers: its options, and how it runs and reports."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ubcn_ros.cli.options import collected, threads_option
from ubcn_ros.cli.output import save_json, say_error, warn
from ubcn_ros.cli.param_types import COUNT

if TYPE_CHECKING:
    from ubcn_ros.bags.fleet import Fleet
    from ubcn_ros.bags.process import Options

SUMMARY = 'summary.json'


class AddressType(click.ParamType):
    """Where a Ray cluster is."""

    name = 'address'

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        if not re.fullmatch(r'local|auto|(ray://)?[^/:\s]+:\d{1,5}', value):
            self.fail(f"{value!r} is not 'local', 'auto', HOST:PORT or ray://HOST:PORT", param,
                      ctx)
        return value


class Sharing(NamedTuple):
    """Processes or the address of a Ray cluster, pieces of each bag, threads of each worker."""

    workers: int | None
    address: str | None
    pieces: int | None
    threads: int | None


sharing_options = collected(
    'sharing', Sharing,
    click.option('--workers', type=COUNT, help='Number of processes  [default: one per GPU, '
                                               'or one].'),
    click.option('--ray', 'address', type=AddressType(), metavar='ADDRESS',
                 help='Run on the machines of a Ray cluster: local, auto, HOST:PORT or '
                      'ray://HOST:PORT (pip install ubcn_ros[ray]).'),
    click.option('--pieces', type=click.IntRange(1, 9999),
                 help='Number of time ranges that each bag is split into  [default: one per '
                      'thousand images, at most 64; one for a bag without an index].'),
    threads_option(help="CPU threads per worker  [default: each worker's share of the cores]."))


def process_fleet(pairs: Sequence[tuple[Path, Path]], root: Path, options: Options,
                  sharing: Sharing, resume: bool) -> bool:
    """
    Process bags and report.

    :param root: OUT; where it is not a bag itself, the summary goes there.
    :return: whether something could not be processed.
    """
    from ubcn_ros.bags.fleet import Fleet
    from ubcn_ros.cli.fleet_table import FleetTable
    from ubcn_ros.stopping import Stopped
    options = _with_model(options)
    begun = time.monotonic()
    table = FleetTable(root)
    fleet = Fleet(pairs, options, sharing.pieces, resume, table.tell)
    try:
        with table, _pool(dict(options.engine)['device'], sharing,
                          root if len(pairs) > 1 else root.absolute().parent) as pool:
            fleet.run(pool, table)
    except Stopped as stop:
        done = sum(bag.result is not None for bag in fleet.bags)
        click.echo(f'Stopped by {stop}: {done} of {len(pairs)} bags written; --resume goes on',
                   err=True)
        sys.exit(stop.exit_code)
    finally:
        summed_up = _write_summary(fleet, root, time.monotonic() - begun)
    return _report(fleet) or not summed_up


def _with_model(options: Options) -> Options:
    """Check the model, once for all workers, and name it by where it is."""
    from ubcn_ros.runtime.model_info import PARTS
    from ubcn_ros.runtime.weights import load_model
    engine = dict(options.engine)
    path = Path(engine['model']).expanduser()
    info = load_model(engine['model'], () if engine['allow_partial'] else PARTS)[1]
    warn(info.untrained_text())
    if path.exists():
        engine['model'] = str(path.absolute())
    return replace(options, engine=tuple(engine.items()))


def _pool(device: str, sharing: Sharing, shared: Path) -> AbstractContextManager:
    workers, threads = sharing.workers, sharing.threads
    if sharing.address is not None:
        from ubcn_ros.bags.fleet.ray import RayWorkers
        return RayWorkers(sharing.address, shared, device, workers, threads)
    from ubcn_ros.bags.fleet import Workers
    from ubcn_ros.bags.fleet.worker_devices import share_out
    return Workers(*share_out(device, workers, threads))


def _write_summary(fleet: Fleet, root: Path, wall_s: float) -> bool:
    """
    Write what came of all bags; where nothing came of any, an earlier run's record stays.

    :return: whether it could be written; else that is told: the bags are what counts.
    """
    from ubcn_ros.bags.errors import reason
    from ubcn_ros.bags.fleet.status import summary
    path = root / SUMMARY
    try:
        if all(bag.out == root.absolute() for bag in fleet.bags) or not root.is_dir():
            return True
        if fleet.gained_frames or any(bag.results for bag in fleet.bags) or not path.exists():
            save_json(path, summary(fleet, wall_s))
    except OSError as error:
        say_error(f'{path} cannot be written: {reason(error)}; the bags are not affected')
        return False
    return True


def _report(fleet: Fleet) -> bool:
    """Print what went wrong, a line each; return whether something did."""
    from ubcn_ros.bags.errors import about
    wrong = [about(bag.source, line) for bag in fleet.bags
             for line in ([bag.error] if bag.error else bag.result.errors)]
    failed = sum(bag.error is not None for bag in fleet.bags)
    if len(fleet.bags) > 1:
        click.echo(f'{len(fleet.bags) - failed} of {len(fleet.bags)} bags written')
    for line in wrong:
        say_error(line)
    return bool(wrong)
