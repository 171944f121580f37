# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images or a video in, images or a video out: what `ubcn derain` and `ubcn rain` share."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ubcn_ros.cli.commands import explain_out_of_memory, refuse_options
from ubcn_ros.cli.output import exit_stopped, progress_bar, say_error, warn
from ubcn_ros.runtime.out_of_memory import out_of_memory
from ubcn_ros.text_table import counted

if TYPE_CHECKING:
    from ubcn_ros.images.panes import PaneVideo
    from ubcn_ros.images.video_writer import VideoWriter

_OTHER_FORMATS = ('.jpe', '.jfif', '.gif', '.apng', '.avif', '.heic', '.heif', '.jxl', '.jp2',
                  '.ppm', '.pgm', '.pnm', '.tga', '.exr', '.hdr', '.dng', '.svg', '.pdf')
"""Ends of names of further images and videos, none of which is written."""

recursive_option = click.option('--recursive', is_flag=True,
                                help='Include the sub-folders of INPUT; OUTPUT gets the same '
                                     'sub-folders.')


class ImageJob(NamedTuple):
    """
    One image: how to read it, and where its result goes.

    ``number``: its place among all, from 0; ``source``: its name in errors; ``name``: path of what
    is written of it, below each output folder; ``target``: path of its result, unless that is a
    video; ``sequence``: sub-folder of INPUT whose images it follows; ``time_s``: seconds since the
    first one there; ``shown_s``: its time in a video of all.
    """

    number: int
    source: str
    read: Callable[[], Any]
    name: Path
    target: Path
    sequence: str
    time_s: float
    shown_s: float


class ImageJobs:
    """
    The image files of INPUT; yields an ImageJob for each, `count` of them.

    :param source: a file, or a folder.
    :param output: the OUTPUT for one of them.
    :param recursive: search sub-folders, too.
    :param rate_hz: how many of a folder are taken for one second.
    :param without: folders that are written to, beside OUTPUT.
    """

    unit = 'images'
    pixel_aspect = Fraction(1)

    def __init__(self, source: Path, output: Path, recursive: bool, rate_hz: float,
                 without: Sequence[Path]):
        from ubcn_ros.images.files import KINDS, FolderListing, find_images, is_image_name
        to_file = not source.is_dir() and is_image_name(output) and not output.is_dir()
        if output.exists() and not output.is_dir() and not to_file and not _is_mp4(output):
            kind = f'{source} is a folder' if source.is_dir() else 'not an image'
            raise click.ClickException(f'{output} is a file, but {kind}: give a folder to write '
                                       'to')
        if source.is_dir():
            listing = find_images(source, recursive, (output, *without))
            if not listing.images:
                raise click.ClickException(f'{source} holds no images ({KINDS})'
                                           f'{_skipped(listing)}')
            targets = [output / path.relative_to(source).with_suffix('.png')
                       for path in listing.images]
        else:
            listing = FolderListing([source])
            targets = [output if to_file else output / f'{source.stem}.png']
        self._root = output.parent if to_file else output
        self.inputs, self.targets = listing.images, targets
        self.errors = list(listing.unreadable)
        self.count: int | None = len(self.inputs)
        self._listing, self._rate_hz = listing, rate_hz
        self.left_out: Counter[str] = Counter()

    def __iter__(self) -> Iterator[ImageJob]:
        from ubcn_ros.images.files import read_image
        numbers: Counter[str] = Counter()
        for number, (path, target, name) in enumerate(
                zip(self.inputs, self.targets, self.names, strict=True)):
            sequence = _sequence(name)
            yield ImageJob(number, str(path), lambda path=path: read_image(path, self.left_out),
                           name, target, sequence, numbers[sequence] / self._rate_hz,
                           number / self._rate_hz)
            numbers[sequence] += 1

    @property
    def names(self) -> list[Path]:
        """Of what is written of each, below a folder."""
        return [target.relative_to(self._root).with_suffix('.png') for target in self.targets]

    @property
    def durations_s(self) -> dict[str, float]:
        """From the first image of each sequence to its last, seconds."""
        return {sequence: (count - 1) / self._rate_hz
                for sequence, count in Counter(map(_sequence, self.names)).items()}

    def summary(self, done: int, _broken: int) -> str:
        """Say how many were done, and what of a folder was not an image."""
        return f'{done} of {self.count} images written{_skipped(self._listing)}'


class VideoJobs:
    """
    The frames of a video, to a video or to image files named by their numbers.

    Yields an ImageJob for each; `count` is how many the file says there are, None where it does
    not say.

    :param source: the video.
    :param output: the OUTPUT for it.
    """

    unit = 'frames'

    def __init__(self, source: Path, output: Path):
        from ubcn_ros.images.files import is_image_name
        from ubcn_ros.images.video import video_info
        if not _is_mp4(output) and (is_image_name(output) or output.is_file()):
            raise click.ClickException(f'{source} is a video, and cannot be written to {output}: '
                                       'give a name that ends in .mp4, or a folder')
        info = video_info(source)
        for note in info.notes:
            warn(note)
        self.inputs, self.errors = [source], []
        self.left_out: Counter[str] = Counter()  # of image files alone: a video's notes are told
        self.pixel_aspect = info.pixel_aspect
        self.count = info.frames or round(info.duration_s * info.rate_hz) or None
        self.names = [self._name(0)]
        self._output, self.targets = output, [output / self.names[0]]

    def __iter__(self) -> Iterator[ImageJob]:
        from ubcn_ros.images.video import VideoError, read_video
        try:
            for number, frame in enumerate(read_video(self.inputs[0])):
                name = self._name(number)
                yield ImageJob(number, f'{self.inputs[0]}, frame {number}',
                               lambda frame=frame: frame.image, name, self._output / name, '',
                               frame.time_s, frame.time_s)
        except VideoError as error:  # what is whole was done before
            self.errors.append(str(error))
            say_error(str(error))

    @property
    def durations_s(self) -> dict[str, float]:
        """From the first frame to the last; the file is read for it."""
        from ubcn_ros.images.video import length_s
        return {'': length_s(self.inputs[0])}

    def _name(self, number: int) -> Path:
        return Path(f'{number:06}.png')

    def summary(self, done: int, broken: int) -> str:
        """Say how many were done, and of how many where not all were."""
        return f'{done}{f" of {done + broken}" if broken else ""} frames written'


def _sequence(name: Path) -> str:
    return '' if name.parent == Path() else name.parent.as_posix()


def plan_jobs(source: Path, output: Path, recursive: bool, rate_hz: float,
              folders: Sequence[Path] = (), files: Sequence[Path] = (), by_name: bool = False
              ) -> ImageJobs | VideoJobs:
    """
    Find what is to be done.

    :param source: an image, a video, or a folder of images.
    :param output: an image, an MP4 video, or a folder.
    :param recursive, rate_hz: as for ImageJobs.
    :param folders: to which files of the same names are written, beside OUTPUT.
    :param files: that are written, too.
    :param by_name: whether one of these tells results apart by their names.
    """
    jobs = _jobs(source, output, recursive, rate_hz, folders)
    for folder in (output, *folders):
        if source.is_dir() and os.path.realpath(folder) == os.path.realpath(source):
            raise click.ClickException(f'{folder} is INPUT, and results would be taken for images '
                                       'of it: give INPUT, OUTPUT and each option a folder of its '
                                       'own')
    if folders or by_name or not _is_mp4(output):
        _check_names(jobs.inputs, jobs.names)
    _check_written(jobs.inputs, [*([output] if _is_mp4(output) else jobs.targets), *files,
                                 *(folder / name for folder in folders for name in jobs.names)])
    return jobs


def _jobs(source: Path, output: Path, recursive: bool, rate_hz: float, folders: Sequence[Path]
          ) -> ImageJobs | VideoJobs:
    from ubcn_ros.images.video import SUFFIXES, is_video
    if not source.is_dir():
        refuse_options(('recursive', 'rate_hz'), f'{source} is not a folder')
    _check_format(source, output)
    if is_video(source):
        return VideoJobs(source, output)
    if source.is_dir() or not _is_mp4(output):
        return ImageJobs(source, output, recursive, rate_hz, folders)
    raise click.ClickException(f'{source} is not a video ({", ".join(SUFFIXES)}), but {output} '
                               'is: give a video or a folder of images')


def _check_written(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Raise click.ClickException where an output is, by links too, an input or another output."""
    there = {os.path.realpath(path): 'its input' for path in inputs}
    for path in outputs:
        real = os.path.realpath(path)
        if other := there.get(real):
            raise click.ClickException(f'{path} would overwrite {other}: give INPUT, OUTPUT and '
                                       'each option a folder of its own')
        there[real] = str(path)


def _check_format(source: Path, output: Path) -> None:
    """Raise click.ClickException where OUTPUT would be a folder by the name of a file."""
    from ubcn_ros.images.files import SUFFIXES, is_image_name
    from ubcn_ros.images.video import is_video_name
    if output.is_dir() or _is_mp4(output):
        return
    if is_video_name(output):
        raise click.ClickException(f'{output}: videos are written as MP4, not as '
                                   f'{output.suffix}: give a name that ends in .mp4')
    if is_media_name(output) and not is_image_name(output):
        raise click.ClickException(f'{output}: nothing is written as {output.suffix}: give a name '
                                   f'that ends in .mp4 for a video, in {", ".join(SUFFIXES)} for '
                                   'an image, or that of a folder')
    if source.is_dir() and is_image_name(output):
        raise click.ClickException(f'{source} is a folder, and cannot be written to {output}: '
                                   'give a name that ends in .mp4, or a folder')


def is_media_name(path: Path) -> bool:
    """Return whether a name is that of an image or a video, also of one that is not written."""
    from ubcn_ros.images.files import is_image_name
    from ubcn_ros.images.video import is_video_name
    return is_image_name(path) or is_video_name(path) or path.suffix.lower() in _OTHER_FORMATS


def _check_names(inputs: Iterable[Path], names: Iterable[Path]) -> None:
    """Raise click.ClickException where two inputs would be written under one name."""
    written: dict[Path, Path] = {}
    for path, name in zip(inputs, names, strict=True):
        if name in written:
            raise click.ClickException(f'{written[name].name} and {path.name} would both be '
                                       f'written to {name}: rename one')
        written[name] = path


def _is_mp4(path: Path) -> bool:
    return path.suffix.lower() == '.mp4' and not path.is_dir()


def result_video(output: Path, pixel_aspect: Fraction) -> VideoWriter | None:
    """Return what writes OUTPUT where it is a video, else None."""
    from ubcn_ros.images.video_writer import VideoWriter
    return VideoWriter(output, math.inf, pixel_aspect) if _is_mp4(output) else None


def write_result(job: ImageJob, image: Any, video: VideoWriter | None) -> None:
    """Write the result of a job, (H, W, 3) uint8 RGB, to the video or to a file of its own."""
    from ubcn_ros.images.files import write_image
    if video is not None:
        video.write(image, job.shown_s)
    else:
        write_image(job.target, image)


def _skipped(listing: Any) -> str:
    """Count what of a folder is not an image, for the end of a line."""
    counts = [(listing.others, 'other file'), (listing.hidden, 'hidden name'),
              (len(listing.folders), 'sub-folder')]
    told = [counted(*count) for count in counts if count[0]]
    hint = ' (--recursive takes them in)' if listing.folders else ''
    return f'; skipped: {", ".join(told)}{hint}' if told else ''


def run_jobs(jobs: ImageJobs | VideoJobs, work: Callable[[Any, ImageJob], None], output: Path,
             *writers: VideoWriter | PaneVideo | None) -> None:
    """
    Run `work(image, job)` on every image; report broken ones and exit with 1 for them.

    :param output: for the text where a signal ends it.
    :param writers: of the videos that `work` writes to, or None.
    :raises ImageFileError, VideoError: a result cannot be written.
    """
    from ubcn_ros.images.files import left_out_notes
    from ubcn_ros.stopping import Stopped
    for text in jobs.errors:
        say_error(text)
    done = broken = 0
    try:
        with ExitStack() as open_files:
            open_files.callback(lambda: [*map(warn, left_out_notes(jobs.left_out))])
            for writer in filter(None, writers):
                open_files.callback(lambda writer=writer: warn(writer.note))  # however it ends
                open_files.enter_context(writer)
            with progress_bar(jobs, jobs.count, jobs.unit) as bar:
                for job in bar:
                    if fault := _fault(job, work):
                        broken += 1
                        bar.clear()
                        say_error(fault)
                    else:
                        done += 1
    except Stopped as stop:
        of = '' if jobs.count is None else f' of {jobs.count}'
        exit_stopped(stop, f'{done}{of} {jobs.unit}', output)
    click.echo(jobs.summary(done, broken))
    if broken or jobs.errors:
        sys.exit(1)


def _fault(job: ImageJob, work: Callable[[Any, ImageJob], None]) -> str:
    """Do a job; return what is wrong with its image, '' for nothing."""
    from ubcn_ros.images.files import ImageFileError
    from ubcn_ros.images.video_writer import FrameSizeError
    try:
        try:
            image = job.read()
        except ImageFileError as error:
            return str(error)
        work(image, job)
    except FrameSizeError as error:
        return f'{job.source}: {error}'
    except Exception as error:
        # a result that cannot be written ends the run, whatever the text of its error
        if isinstance(error, (ValueError, OSError)) or not out_of_memory(error):
            raise
        return f'{job.source}: {explain_out_of_memory(error)}'
    return ''
