# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The command `ubcn`.

Nothing heavy is imported before a command runs, so that `--help` answers at once; commands that
live beside what they command are loaded by name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import click

from ubcn_ros import __version__
from ubcn_ros.cli.commands import LazyGroup
from ubcn_ros.cli.options import DEVICE, OUTPUT_FOLDER, PRECISION, Number

DEFAULT_MODEL = 'ubcn-light-camvid'

# name -> (module, attribute, line for the help)
COMMANDS = {
    'train': ('ubcn_ros.cli.train', 'train', 'Train one stage of a recipe.'),
    'evaluate': ('ubcn_ros.cli.evaluate', 'evaluate',
                 'Measure a model per rain rate and step.'),
    'benchmark': ('ubcn_ros.cli.benchmark', 'benchmark',
                  'Time and compare the engine, or time a running node.'),
    'export': ('ubcn_ros.cli.export', 'export',
               'Write a model for ONNX Runtime or torch.export.'),
}


@click.group(cls=LazyGroup, lazy=COMMANDS,
             context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='ubcn')
def main() -> None:
    """Derain and segment images with UBCN, on files, bags and live topics."""


def engine_options(command: Callable) -> Callable:
    """Add the options that choose an engine and the number of steps."""
    for option in reversed([
            click.option('--model', default=DEFAULT_MODEL, show_default=True,
                         help='Name in models/, or path of a .safetensors file.'),
            click.option('--device', default='auto', show_default=True, type=DEVICE,
                         help='auto, cpu, cuda or cuda:N.'),
            click.option('--precision', default='auto', show_default=True, type=PRECISION),
            click.option('--iterations', default=3, show_default=True, type=click.IntRange(1, 10),
                         help='Steps of derain and segment: 1 is fastest.'),
            click.option('--allow-partial-model', is_flag=True,
                         help='Take a model with parts that were never trained, too.')]):
        command = option(command)
    return command


def _load_engine(model: str, device: str, precision: str, allow_partial: bool) -> Any:
    from ubcn_ros.runtime import Engine
    engine = Engine.load(model, device=device, precision=precision, allow_partial=allow_partial)
    if untrained := engine.info.untrained_text():
        click.echo(f'Warning: {untrained}', err=True)
    return engine


def _bar(items: Iterable[Any] | None = None, **options: Any) -> Any:
    from tqdm import tqdm
    return tqdm(items, unit=' images', disable=None, **options)  # None: silent off a terminal


recursive_option = click.option('--recursive', is_flag=True,
                                help='Search the sub-folders of INPUT, too; OUTPUT gets the same.')


def _jobs(source: Path, target: Path, recursive: bool, without: Iterable[Path | None] = ()
          ) -> tuple[list[tuple[Path, Path]], Any]:
    """
    Pair input files with output files.

    :param without: folders that are written to, beside `target`.
    :return: the pairs, and the listing of the folder they come from.
    """
    from ubcn_ros.images.files import KINDS, Listing, find_images, is_image_name
    if not source.is_dir():
        to_file = is_image_name(target) and not target.is_dir()
        listing = Listing([source])
        jobs = [(source, target if to_file else target / f'{source.stem}.png')]
    else:
        if target.is_file():
            raise click.ClickException(f'{target} is a file, but {source} is a folder: give a '
                                       'folder to write to')
        listing = find_images(source, recursive, filter(None, (target, *without)))
        if not listing.images:
            raise click.ClickException(f'{source} holds no images ({KINDS}){_skipped(listing)}')
        jobs = [(path, target / path.relative_to(source).with_suffix('.png'))
                for path in listing.images]
    written: dict[Path, Path] = {}
    for path, output in jobs:
        if os.path.realpath(path) == os.path.realpath(output):
            raise click.ClickException(f'{output} would overwrite its input: give another OUTPUT')
        if output in written:
            raise click.ClickException(f'{written[output].name} and {path.name} would both be '
                                       f'written to {output}: rename one')
        written[output] = path
    return jobs, listing


def _skipped(listing: Any) -> str:
    """Count what of a folder was no image, for the end of a line."""
    counts = [(listing.others, 'other file'), (listing.hidden, 'hidden name'),
              (len(listing.folders), 'sub-folder')]
    told = [f'{count} {name}{"" if count == 1 else "s"}' for count, name in counts if count]
    hint = ' (--recursive takes them in)' if listing.folders else ''
    return f'; skipped: {", ".join(told)}{hint}' if told else ''


def _each(jobs: list[tuple[Path, Path]], listing: Any, work: Callable[[Any, Path], None]) -> None:
    """Run `work(image, output)` on every file; report broken ones and exit with 1 for them."""
    from ubcn_ros.images.files import ImageFileError, read_image
    errors = list(listing.unreadable)
    for text in errors:
        click.echo(f'Error: {text}', err=True)
    broken = 0
    with _bar(jobs) as bar:
        for source, output in bar:
            try:
                work(read_image(source), output)
            except ImageFileError as error:
                broken += 1
                bar.clear()
                click.echo(f'Error: {error}', err=True)
    click.echo(f'{len(jobs) - broken} of {len(jobs)} images written{_skipped(listing)}')
    if broken or errors:
        sys.exit(1)


@main.command()
@click.argument('source', metavar='INPUT', type=click.Path(exists=True, path_type=Path))
@click.argument('output', type=click.Path(path_type=Path))
@click.option('--labels', type=OUTPUT_FOLDER,
              help='Folder for the label ids, single-channel PNG; 255 is unlabeled.')
@click.option('--overlay', 'overlays', type=OUTPUT_FOLDER,
              help='Folder for the derained images with class colours over them.')
@recursive_option
@engine_options
def derain(source: Path, output: Path, labels: Path | None, overlays: Path | None,
           recursive: bool, model: str, device: str, precision: str, iterations: int,
           allow_partial_model: bool) -> None:
    """
    Derain an image or a folder of images, and label them.

    INPUT is a PNG, JPEG, BMP, WebP or TIFF file, or a folder of them. OUTPUT is a folder, where
    each image is written as PNG under its own name; or a file, if INPUT is one and OUTPUT ends
    like an image. Names that begin with a dot are not images. A broken image is reported and the
    others are done; the exit code is then 1.
    """
    from ubcn_ros.images.files import write_image
    from ubcn_ros.images.overlay import overlay
    jobs, listing = _jobs(source, output, recursive, (labels, overlays))
    root = output if source.is_dir() else jobs[0][1].parent
    names = {target: target.relative_to(root).with_suffix('.png') for _, target in jobs}
    outputs = [os.path.realpath(folder / name) for folder in (root, labels, overlays) if folder
               for name in names.values()]
    if len({*outputs}) < len(outputs) or {os.path.realpath(path) for path, _ in jobs} & {*outputs}:
        raise click.ClickException('INPUT, OUTPUT, --labels and --overlay would hold files of the '
                                   'same names: give each a folder of its own')
    engine = _load_engine(model, device, precision, allow_partial_model)

    def work(image: Any, target: Path) -> None:
        frame = engine(image, iterations=iterations)
        write_image(target, frame.derained)
        if labels is not None:
            write_image(labels / names[target], frame.labels)
        if overlays is not None:
            write_image(overlays / names[target],
                        overlay(frame.derained, frame.labels, engine.label_set))

    _each(jobs, listing, work)


@main.command()
@click.argument('source', metavar='INPUT', type=click.Path(exists=True, path_type=Path))
@click.argument('output', type=click.Path(path_type=Path))
@click.option('--rate', default=100.0, show_default=True, type=Number(0, 300),
              help='Rain rate, mm/hr.')
@click.option('--seed', default=0, show_default=True, type=click.IntRange(0),
              help='Of the first image; each further one has the next seed.')
@recursive_option
def rain(source: Path, output: Path, rate: float, seed: int, recursive: bool) -> None:
    """
    Render rain on an image or a folder of images.

    INPUT and OUTPUT are as in `derain`. The same seed gives the same rain.
    """
    from ubcn_ros.data.rain import add_rain
    from ubcn_ros.images.files import write_image
    jobs, listing = _jobs(source, output, recursive)
    seeds = {target: seed + number for number, (_, target) in enumerate(jobs)}
    _each(jobs, listing,
          lambda image, target: write_image(target, add_rain(image, rate, seeds[target])))


@main.group()
def bag() -> None:
    """Make bags from images, and process bags frame by frame."""


storage_option = click.option('--storage', default='mcap', show_default=True,
                              type=click.Choice(['mcap', 'sqlite3']), help='Format of OUT.')


@bag.command('create')
@click.argument('folder', type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument('out', type=click.Path(path_type=Path))
@click.option('--topic', default='/camera/image_raw', show_default=True)
@click.option('--rate', 'rate_hz', default=15.0, show_default=True,
              type=Number(0, min_open=True), help='Images per second.')
@click.option('--compressed', is_flag=True,
              help='Write CompressedImage on TOPIC/compressed: JPEG and PNG files as they are, '
              'others as PNG.')
@click.option('--frame-id', default='camera', show_default=True)
@storage_option
def bag_create(folder: Path, out: Path, topic: str, rate_hz: float, compressed: bool,
               frame_id: str, storage: str) -> None:
    """Make the bag OUT from the image files of FOLDER, in the order of their names."""
    from ubcn_ros.bags import BagError, create
    from ubcn_ros.bags.stopping import Stopped, stop_on_signals
    from ubcn_ros.images.files import ImageFileError, list_images
    count = 0
    try:
        paths = list_images(folder)
        with stop_on_signals(), _bar(total=len(paths)) as bar:
            def show(done: int) -> None:
                nonlocal count
                count = done
                bar.update()
            create(paths, out, topic, rate_hz, compressed, frame_id, storage, show)
    except (BagError, ImageFileError) as error:
        raise click.ClickException(str(error)) from error
    except Stopped as stop:
        _stopped(stop, f'{count} of {len(paths)} images', out)
    click.echo(f'{count} images written to {out}')


def _stopped(stop: Any, written: str, out: Path) -> NoReturn:
    """Say what there is in spite of a signal, and exit as a shell expects."""
    click.echo(f'Stopped by {stop}: ' + (f'{written} written to {out}' if out.exists()
                                         else f'{out} was not made'), err=True)
    sys.exit(stop.exit_code)


@bag.command('process')
@click.argument('in_bag', metavar='IN', type=click.Path(path_type=Path))
@click.argument('out_bag', metavar='OUT', type=click.Path(path_type=Path))
@click.option('--topic', help='Image topic [default: the only one in the bag].')
@click.option('--pictures', is_flag=True, help='Write /labels/color and /overlay/image_raw too.')
@storage_option
@engine_options
def bag_process(in_bag: Path, out_bag: Path, topic: str | None, pictures: bool, storage: str,
                model: str, device: str, precision: str, iterations: int,
                allow_partial_model: bool) -> None:
    """
    Derain and label every image of the bag IN into the bag OUT.

    No frame is dropped, however long it takes; each output carries the header and recording time
    of its input. Malformed messages are reported and left out, and of a damaged bag, what is whole
    is processed; the exit code is then 1.
    """
    from ubcn_ros.bags import BagError, image_connection, open_bag, process
    from ubcn_ros.bags.stopping import Stopped, stop_on_signals
    count = 0
    try:
        with stop_on_signals():
            with open_bag(in_bag) as reader:  # errors of the bag before the seconds of loading
                image_connection(reader, topic)
                for note in reader.notes:
                    click.echo(f'Warning: {note}', err=True)
            engine = _load_engine(model, device, precision, allow_partial_model)
            with _bar() as bar:
                def show(done: int, total: int) -> None:
                    nonlocal count
                    count = done
                    bar.total = total
                    bar.update(done - bar.n)
                done = process(in_bag, out_bag, engine, iterations, topic, pictures, storage, show)
    except BagError as error:
        raise click.ClickException(str(error)) from error
    except Stopped as stop:
        _stopped(stop, f'the outputs of {count} messages', out_bag)
    for line in [*done.malformed, *done.problems]:
        click.echo(f'Error: {line}', err=True)
    if not done.frames:
        raise click.ClickException(f'no image of {done.topic} could be read: {out_bag} was not '
                                   'made')
    click.echo(f'{done.frames} images of {done.topic} written to {out_bag}')
    if done.malformed or done.problems:
        sys.exit(1)


@main.command()
@click.option('--bag', 'bag_path', type=click.Path(path_type=Path),
              help='Replay this bag [default: a rainy drive, rendered].')
@click.option('--topic', help="The bag's image topic [default: the only one].")
@click.option('--out', default=Path('out/demo'), show_default=True, type=OUTPUT_FOLDER,
              help='Output folder.')
@click.option('--model', default=DEFAULT_MODEL, show_default=True,
              help='Name in models/, or path of a .safetensors file.')
@click.option('--iterations', default=3, show_default=True, type=click.IntRange(1, 10),
              help='Steps of derain and segment.')
@click.option('--rate', 'rate_hz', type=Number(0, min_open=True),
              help="Images per second [default: the bag's own; of the drive, "
              'what this machine keeps up with].')
@click.option('--frames', type=click.IntRange(1),
              help='Replay this many images at most [default: 60 of the drive, 150 of a bag].')
@click.option('--rain', 'rain_mm_h', default=100.0, show_default=True,
              type=Number(0, 300), help='Rain on the rendered drive, mm/hr.')
@click.option('--device', default='auto', show_default=True, type=DEVICE,
              help='auto, cpu, cuda or cuda:N.')
def demo(bag_path: Path | None, topic: str | None, out: Path, model: str, iterations: int,
         rate_hz: float | None, frames: int | None, rain_mm_h: float, device: str) -> None:
    """
    Replay a rainy drive through the node and show what comes out.

    Starts the node as its own process, replays a bag over DDS, records the outputs to
    OUT/outputs, and writes OUT/sheet.png and OUT/summary.json.
    """
    from ubcn_ros.bags.demo import DemoError, DemoOptions, run
    from ubcn_ros.bags.stopping import Stopped
    options = DemoOptions(bag=bag_path, topic=topic, out=out, model=model, iterations=iterations,
                          rate_hz=rate_hz, frames=frames, rain_mm_h=rain_mm_h, device=device)
    try:
        run(options)
    except DemoError as error:
        raise click.ClickException(str(error)) from error
    except Stopped as stop:
        _stopped(stop, 'what was received', out / 'outputs')
