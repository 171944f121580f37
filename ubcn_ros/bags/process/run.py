# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run a job: a range of a bag through the engine into a bag, and on where it was interrupted."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ubcn_ros.bags.errors import BagError, BagOutOfMemory, in_seconds, reason
from ubcn_ros.bags.messages import decode_record
from ubcn_ros.bags.process.checks import check_output, finished_tally, input_problems
from ubcn_ros.bags.process.job_reader import Item, JobReader, Position, latched_before_job
from ubcn_ros.bags.process.lock import locked
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.process.outputs import CameraOutputs, find_prefixes
from ubcn_ros.bags.process.pipeline import ThreadedPipeline
from ubcn_ros.bags.process.resume import find_interrupted, settings_of
from ubcn_ros.bags.process.sidecar import (
    CameraTally,
    Tally,
    describe,
    read_tally,
    write_sidecar,
)
from ubcn_ros.bags.storage.mcap_writer import McapBagWriter
from ubcn_ros.bags.storage.reader import BagReader, open_bag
from ubcn_ros.bags.storage.records import Record
from ubcn_ros.runtime.openmp import release_openmp_threads
from ubcn_ros.runtime.out_of_memory import infer_freeing_memory, out_of_memory
from ubcn_ros.runtime.processing import TRAINED, short_side
from ubcn_ros.stopping import in_whole_steps, signals_held

CHECKPOINT_S = 2.0
"""Seconds between two flushes of output and sidecar to the disk: a kill loses no more."""


@dataclass
class Result:
    """What `run_job` did: the whole range's, also where it went on with an interrupted run."""

    tally: Tally
    notes: list[str]

    @property
    def errors(self) -> list[str]:
        """A line for each malformed message (the first hundred), and each problem."""
        left = self.tally.malformed_count - len(self.tally.malformed)
        more = [f'and {left} more malformed messages'] if left else []
        return [*self.tally.malformed, *more, *self.tally.problems]


def run_job(job: Job, resume: bool = False, engine: Any = None,
            progress: Callable[[Tally], None] | None = None,
            sink: Callable[[Item], None] | None = None) -> Result:
    """
    Take the cameras of a range of a bag through the engine, and copy what else is to be copied.

    Outputs carry header and times of their input and stand behind it, in the input's order. In
    whichever way it ends, the output is a bag that `resume` can go on with.

    :param resume: go on with an interrupted run; one that is finished stays as it is, once its
        counts of messages are compared.
    :param engine: loaded with the job's options; None loads it.
    :param progress: called after each record.
    :param sink: called with each item of a frame, in order: `pixels` and `frame` are set.
    :raises BagError: a bag cannot be read or written, or its outputs are not what was written.
    :raises BagLocked: another process writes the output.
    :raises BagOutOfMemory: an image does not fit into memory.
    :raises ModelFileError: the model cannot be loaded.
    """
    engine = engine or load_engine(job.options.engine)
    settings = settings_of(job, engine)
    with ExitStack() as lock:  # until all is written, the sidecar's last word included
        there = os.path.lexists(job.out)  # what appears from now on is of another process
        if resume and job.out.is_dir():
            lock.enter_context(locked(job.out))
        document = find_interrupted(job.out, settings, resume) if there else None
        with open_bag(job.source) as reader:
            if document is not None and document['finished']:
                return Result(finished_tally(job.out, document), reader.notes)
            run = _Run(job, reader, engine, settings, document)
            with run.opened(lock) as writer:
                run.copy_and_process(writer, progress, sink)
            run.finish()
            return Result(run.tally, reader.notes)


@functools.lru_cache(maxsize=1)
def load_engine(options: tuple[tuple[str, Any], ...]) -> Any:
    """Load an engine, once for all jobs with these options."""
    from ubcn_ros.runtime import Engine
    return Engine.load(**dict(options))


class _Run:
    """A job while it runs; `document` is the sidecar of an interrupted run, if there is one."""

    def __init__(self, job: Job, reader: BagReader, engine: Any, settings: dict[str, Any],
                 document: dict[str, Any] | None):
        self.tally = read_tally(job.out, document) if document else Tally()
        self._goes_on = document is not None
        self._job, self._reader, self._engine, self._settings = job, reader, engine, settings
        prefixes = find_prefixes([camera.topic for camera in job.cameras])
        self._outputs = {camera.topic: CameraOutputs(camera, prefixes[camera.topic], job.options,
                                                     engine) for camera in job.cameras}
        for camera in job.cameras:
            self.tally.cameras.setdefault(camera.topic, CameraTally())
        self._begun, self._saved = time.monotonic(), time.monotonic()
        self._before_s, self._busy_before = self.tally.wall_s, Counter(self.tally.busy_s)
        self._problems_before, self._write_s = self.tally.problems, 0.0

    @contextmanager
    def opened(self, lock: ExitStack) -> Iterator[McapBagWriter]:
        """
        Open the output where it begins or is to go on.

        :param lock: gets the lock of an output that begins; of one that goes on it is held.
        """
        options = {'split_bytes': self._job.options.split_bytes,
                   'split_ns': self._job.options.split_ns,
                   'custom_data': self._reader.custom_data}
        if self._goes_on:
            writer = McapBagWriter.reopen(self._job.out, self.tally.written.total(), **options)
        else:
            writer = McapBagWriter(
                self._job.out, claim=lambda folder: lock.enter_context(locked(folder)), **options)
        with writer:
            if not self._goes_on:  # nothing can go on with a bag that does not say what it is
                self.save(finished=False)
            yield writer

    def copy_and_process(self, writer: McapBagWriter, progress: Callable[[Tally], None] | None,
                         sink: Callable[[Item], None] | None) -> None:
        """Write what is to be written from the tally's position on."""
        if self.tally.position is None:
            self._begin(writer)
        sizes = self._processing_sizes()
        release_openmp_threads()  # of this thread, which loaded the engine: another runs it
        with ThreadedPipeline(
                JobReader(self._reader, self._job, self.tally.position),
                decode_record,
                lambda item: self._infer(item, sizes[item.camera.topic]),
                lambda item, message: self._outputs[item.camera.topic].of_frame(
                    item.record, message, item.frame, item.info),
                max(2, min(8, os.cpu_count() or 2))) as pipeline:
            try:
                for item in in_whole_steps(iter(pipeline)):
                    self._take(writer, item)
                    if sink is not None and item.frame is not None:
                        sink(item)
                    if progress is not None:
                        progress(self.tally)
                    if time.monotonic() - self._saved >= CHECKPOINT_S:
                        self._checkpoint(writer, pipeline)
            except BaseException:
                with suppress(BagError, OSError):
                    self._checkpoint(writer, pipeline)
                raise
        self._checkpoint(writer, pipeline)

    def _infer(self, item: Item, processing_size: int) -> Any:
        """
        Run the engine on an image, with the steps asked for also where memory is short at first.

        :raises BagOutOfMemory: it is short the second time, too.
        """
        options = {'iterations': self._job.options.iterations,
                   'confidence': self._job.options.confidence, 'processing_size': processing_size}
        try:
            return infer_freeing_memory(self._engine, item.pixels, options)[0]
        except Exception as error:
            if not out_of_memory(error):
                raise
            height, width = item.pixels.shape[:2]
            raise BagOutOfMemory(
                f'{item.camera.topic}, recorded at {in_seconds(item.record.time_ns)}: not enough '
                f'memory for an image of {width}x{height} ({reason(error)}): free some and go on '
                'with --resume, or begin again with a smaller --processing-size') from error

    def _processing_sizes(self) -> dict[str, int]:
        """Return the processing size of each camera, by its focal length as in the node."""
        asked = dict(self._job.options.engine).get('processing_size', TRAINED)
        return {camera.topic: asked if camera.focal_length is None else
                short_side(asked, self._engine.info, camera.focal_length)
                for camera in self._job.cameras}

    def finish(self) -> None:
        """
        Open the output again, and compare it with what was written.

        :raises BagError: they differ.
        """
        check_output(self._job.out, self.tally.written)
        broken = [skipped.text for skipped in self._job.skipped if skipped.broken]
        damage = self._reader.met if self._job.piece else self._reader.damage
        self._note_problems(broken + damage + input_problems(
            self._reader, self._job, (self._job.start_ns, self._job.end_ns), self.tally.read))
        self.save(finished=True)

    def save(self, finished: bool) -> None:
        """Write the sidecar."""
        topics = {topic: outputs.topics for topic, outputs in self._outputs.items()}
        write_sidecar(self._job.out, describe(
            self._job, self.tally, topics, self._engine, self._settings, self._reader.notes,
            finished))

    def _begin(self, writer: McapBagWriter) -> None:
        """Write what stands at the beginning of a bag or range."""
        for channel in self._reader.channels:
            if channel.topic in self._job.copied:
                writer.add_channel(channel)
        for outputs in self._outputs.values():
            for channel in outputs.channels:
                writer.add_channel(channel)
        if self._job.first and not self._job.options.outputs_only:
            for attachment in self._reader.attachments():
                writer.attach(attachment)
            for name, metadata in self._reader.metadata_records():
                writer.add_metadata(name, metadata)
        if self._job.first:
            begin = self._job.begin_ns
            self._write(writer, [record._replace(time_ns=begin, publish_ns=begin)
                                 for record in latched_before_job(self._reader, self._job)])
            self._write(writer, [outputs.label_info(begin) for outputs in self._outputs.values()])
        self.tally.position = Position(self._job.start_ns, 0, {})

    def _take(self, writer: McapBagWriter, item: Item) -> None:
        """Write an item whole, whatever signal comes, and count it."""
        begun = time.perf_counter()
        with signals_held():
            copied = [item.record] * (item.copied or self._is_left(item))
            self._write(writer, copied + item.outputs)
            self.tally.read[' '.join(item.record.channel.kind)] += 1
            self.tally.position = item.position
            if item.camera is not None:
                self._count(item)
            elif item.error is not None:
                self.tally.malformed_infos += 1
                self._note_malformed(item)
        self._write_s += time.perf_counter() - begun

    def _is_left(self, item: Item) -> bool:
        """Whether an input that was to be dropped has no derained image to stand for it."""
        options = self._job.options
        return (options.drop_inputs and not options.outputs_only and item.frame is None
                and item.record.channel.topic in self._outputs)

    def _write(self, writer: McapBagWriter, records: list[Record]) -> None:
        """Write what belongs together; it counts once all is written, else it is written again."""
        for record in records:
            writer.write(record)
        self.tally.written.update(record.channel.topic for record in records)

    def _count(self, item: Item) -> None:
        camera, frame = self.tally.cameras[item.camera.topic], item.frame
        if frame is None:
            camera.malformed += 1
            self._note_malformed(item)
            return
        camera.frames += 1
        camera.camera_infos += item.info is not None
        camera.iterations += frame.iterations
        for sizes, size in ((camera.sizes, frame.labels.shape),
                            (camera.processing_sizes, frame.working_size)):
            if (text := f'{size[1]}x{size[0]}') not in sizes:
                sizes.append(text)
        self.tally.engine_ms.update(frame.timings)

    def _note_malformed(self, item: Item) -> None:
        record = item.record
        self.tally.note_malformed(f'{record.channel.topic}, recorded at '
                                  f'{in_seconds(record.time_ns)}: {item.error}; not processed')

    def _note_problems(self, met: list[str]) -> None:
        self.tally.problems = list(dict.fromkeys([*self._problems_before, *met]))

    def _checkpoint(self, writer: McapBagWriter, pipeline: ThreadedPipeline) -> None:
        with signals_held():
            writer.flush()
            self._note_problems(self._reader.met)  # what is behind is not read again
            self.tally.wall_s = self._before_s + time.monotonic() - self._begun
            self.tally.busy_s = self._busy_before + Counter(
                {**pipeline.busy_s, 'write': self._write_s})
            self.save(finished=False)
            self._saved = time.monotonic()
