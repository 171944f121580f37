# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Take a frame all the way through the node.

| step    | by                                       | thread    | times                         |
|---------|------------------------------------------|-----------|-------------------------------|
| receive | the middleware, then rclpy or            | executor  | transport, take (by the       |
|         | `NativeImages`                           |           | executor)                     |
| arrive  | `Camera.on_image`, into the queue        | executor  |                               |
| hand on | `Worker`, from the `FrameQueue`          | engine    | wait                          |
| convert | `Pipeline.process` and what it calls     | engine    | convert                       |
| infer   | the engine, through `recovery.infer`     | engine    | upload, its stages, download  |
| publish | `Outputs`, what somebody subscribes to   | publisher | queue, fill, publish          |
| count   | `CameraStatistics`                       | publisher |                               |

The times are those of diagnostics and `debug/frame`. One batch is published while the engine works
on the next, which waits for it: order is kept.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from ubcn_ros.images.messages import MalformedImage
from ubcn_ros.node.camera import Camera
from ubcn_ros.node.frames import (
    Arrival,
    FrameNumbers,
    PendingFrame,
    engine_deadline,
    of_one_clock,
)
from ubcn_ros.node.hints import explain_calibration
from ubcn_ros.node.parameters import Settings
from ubcn_ros.node.recovery import FailureStreak, Outcome, error_text, fails_together, infer
from ubcn_ros.node.topics import MADE_OF
from ubcn_ros.runtime.lost_gpu import gpu_lost
from ubcn_ros.runtime.out_of_memory import bare


class Pipeline:
    """
    Convert images, run the engine on them, publish and count.

    `process` belongs to the worker's thread, which must be paused before `finish` and `close`;
    what publishes runs in a thread of the pipeline's own.

    :ivar sizes: height and width of the newest image of each camera.
    """

    def __init__(self, node: Any, engine: Any, streak: FailureStreak,
                 give_up: Callable[[], None], take_fewer: Callable[[int, str], None],
                 clock: Callable[[], float] = time.monotonic):
        """
        Make a pipeline around a warm engine, and start its thread.

        :param node: rclpy node with `settings`, read anew for each batch.
        :param engine: as `Engine.load` returns it.
        :param streak: counts failures of the engine in a row; once it has given up, frames are
            dropped.
        :param give_up: called when the streak reaches the limit of the settings.
        :param take_fewer: called where a batch failed and none of its images is to blame, with how
            many images are to go together from now on, and the reason.
        :param clock: seconds, of the same clock as the time of the arrivals.
        :raises RuntimeError: the thread cannot be started.
        """
        self.engine = engine
        self.sizes: dict[Camera, tuple[int, int]] = {}
        self._node, self._streak, self._clock = node, streak, clock
        self._give_up, self._take_fewer = give_up, take_fewer
        # seconds that publishing took lately, and the worst of them, by camera
        self._publishing: dict[Camera, deque[float]] = defaultdict(lambda: deque(maxlen=16))
        self._worst: dict[Camera, float] = {}
        self._publisher = ThreadPoolExecutor(1, 'publisher')
        # starts the thread: where that failed later, frames would be queued and not published
        self._publisher.submit(lambda: None).result()
        self._published: Future | None = None  # once the last batch is

    def process(self, batch: Sequence[tuple[Camera, Arrival]]) -> None:
        """
        Take an image of each of these cameras all the way; what goes wrong is counted and logged.

        On return they may still be published.

        :param batch: images of one `batch_key`.
        """
        settings = self._node.settings
        frames = [frame for camera, arrival in batch
                  if (frame := self._convert(camera, arrival, settings)) is not None]
        if not frames:
            return
        try:
            outcomes = self._infer(frames, settings)
        except BaseException as error:  # outside of what `infer` guards, or Rust code panics
            outcomes = [Outcome(error=bare(error))] * len(frames)
        inferred = self._clock()
        try:
            self.finish()
        finally:  # what it raises is of the batch before, and this one goes on
            self._published = self._publisher.submit(self._publish_all, frames, outcomes,
                                                     settings, inferred)

    def _infer(self, frames: Sequence[PendingFrame], settings: Settings) -> list[Outcome]:
        """Run the engine on a batch, and take fewer from now on where that was too many."""
        needed = frozenset().union(*(frame.needed for frame in frames))
        outcomes = infer(
            self.engine, [frame.image for frame in frames], iterations=settings.iterations,
            deadline=engine_deadline(frames), convergence=settings.convergence,
            processing_size=frames[0].arrival.processing_size,
            min_confidence=settings.min_confidence,
            **{part: part in needed for part in ('derained', 'labels', 'confidence')})
        if reason := fails_together(outcomes):
            self._take_fewer(len(frames) - 1, reason)
        elif reason := outcomes[0].alone:
            frames[0].camera.warn('failed batches', f'{len(frames)} images together failed, and '
                                  f'were taken one by one: {reason}')
        return outcomes

    def finish(self, timeout: float | None = None) -> bool:
        """Wait until what was processed is published, seconds at most; False where it is not."""
        if self._published is None:
            return True
        if not wait([self._published], timeout).done:
            return False
        published, self._published = self._published, None
        published.result()  # raises what reporting a failure raised
        return True

    def close(self) -> None:
        """End the publisher's thread, once everything that was processed is published."""
        self._publisher.shutdown()

    def _convert(self, camera: Camera, arrival: Arrival, settings: Settings
                 ) -> PendingFrame | None:
        """
        Convert an image for the engine.

        :return: None where the image goes no further: it is counted, and where it is malformed or
            fails, named in the log.
        """
        if self._streak.gave_up:
            camera.statistics.dropped_failed(self._streak.gave_up)
            return None
        try:
            if not camera.outputs.any_wanted():
                camera.statistics.dropped_idle()
                return None
            started = self._clock()
            image = arrival.to_rgb()
            self.sizes[camera] = image.shape[:2]
            deadline, publishing = None, self._worst.get(camera, 0.0)
            if settings.deadline_ms:
                deadline = arrival.time + settings.deadline_ms / 1e3 - publishing
            wanted = filter(camera.outputs.wanted, MADE_OF)
            return PendingFrame(
                camera, arrival, image, deadline,
                frozenset(part for topic in wanted for part in MADE_OF[topic]),
                started, self._clock(), publishing)
        except MalformedImage as error:
            camera.statistics.dropped_malformed(error.kind, str(error))
            camera.warn(f'malformed: {error.kind}',
                        f'{camera.topic}: malformed image dropped: {error}')
        except BaseException as error:
            self._failed(camera, error)
        return None

    def _publish_all(self, frames: Sequence[PendingFrame], outcomes: Sequence[Outcome],
                     settings: Settings, inferred: float) -> None:
        """Publish what came of a batch, in the publisher's thread; `inferred`: when it came."""
        since = inferred
        for frame, outcome in zip(frames, outcomes, strict=True):
            if outcome.error is not None:
                self._failed(frame.camera, outcome.error)
                self._count_failure(outcome.error)
                continue
            self._streak.succeeded()
            try:
                self._publish(frame, outcome, settings, inferred)
                # with the numbers: other cameras of the batch wait for these, too
                times, now = self._publishing[frame.camera], self._clock()
                times.append(now - since)
                self._worst[frame.camera], since = max(times), now
            except BaseException as error:
                self._failed(frame.camera, error)

    def _publish(self, pending: PendingFrame, outcome: Outcome, settings: Settings,
                 inferred: float) -> None:
        """Publish what is wanted of a frame, and count it."""
        camera, arrival, frame = pending.camera, pending.arrival, outcome.frame
        header, begun = arrival.message.header, self._clock()
        if outcome.retried and settings.iterations > 1:
            camera.statistics.reduced_to_one_step(outcome.retried)
            camera.warn('retried', f'{camera.topic}: one step instead of {settings.iterations}: '
                        f'{outcome.retried}; use a smaller image or fewer iterations')
        elif outcome.retried:
            camera.warn('retried', f'{camera.topic}: done only after memory was given back, which '
                        f'takes time: {outcome.retried}; use a smaller image')
        filling = camera.outputs.publish(header, frame, arrival.output_encoding(),
                                         settings.overlay_alpha)
        if misfit := explain_calibration(camera.outputs.camera_info(header), header.frame_id,
                                         *pending.image.shape[:2]):
            camera.remind('calibration', f'{camera.topic}: {misfit}')
        done = self._clock()
        numbers = FrameNumbers(
            iterations=frame.iterations, working_size=frame.working_size,
            processing_ms=(done - pending.started) * 1e3,
            latency_ms=(done - arrival.time) * 1e3, deadline_ms=settings.deadline_ms,
            timings={**arrival.before, 'wait': (pending.started - arrival.time) * 1e3,
                     'convert': (pending.converted - pending.started) * 1e3, **frame.timings,
                     'queue': (begun - inferred) * 1e3, 'fill': filling * 1e3,
                     'publish': (done - begun - filling) * 1e3},
            unlabeled=frame.unlabeled, rain=frame.rain)
        camera.outputs.publish_numbers(header, numbers, camera.topic)
        # the last, for what fails before is counted as failed
        camera.statistics.done(numbers, self._age_ms(header.stamp))

    def _age_ms(self, stamp: Any) -> float | None:
        """Return the milliseconds since a header's stamp; None for zero, or of another clock."""
        if not (stamp.sec or stamp.nanosec):
            return None
        seconds = self._node.get_clock().now().nanoseconds / 1e9 - stamp.sec - stamp.nanosec / 1e9
        return seconds * 1e3 if of_one_clock(seconds) else None

    def _failed(self, camera: Camera, error: BaseException) -> None:
        """Count and log a frame that is dropped."""
        if not self._node.context.ok():  # publishers are gone when the process is told to stop
            return
        reason = error_text(error)
        camera.statistics.dropped_failed(reason)
        camera.error(type(error).__name__, f'{camera.topic}: frame dropped: {reason}')

    def _count_failure(self, error: BaseException) -> None:
        """Give up where the engine failed once too often: nothing else is mended by that."""
        if not self._node.context.ok():
            return
        reason = error_text(error)
        if gpu_lost(error):
            self._streak.gpu_lost = reason
        if self._streak.failed(reason, self._node.settings.max_failures):
            self._give_up()
