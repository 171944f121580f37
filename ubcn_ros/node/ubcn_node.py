# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the lifecycle: what the node holds in each state, and the transitions between them.

| state        | holds                                                          |
|--------------|----------------------------------------------------------------|
| unconfigured | parameters, diagnostics                                        |
| inactive     | and the worker thread with the warm engine, and the publishers |
| active       | and the subscriptions                                          |

The executor's thread runs callbacks, each of them short but for the transitions, which wait for
the worker and publish the diagnostics meanwhile. The worker's thread owns the engine;
the pipeline publishes in a thread of its own.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy import get_rmw_implementation_identifier
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from ubcn_ros.malloc import explain_malloc
from ubcn_ros.node.answering_node import log_exceptions
from ubcn_ros.node.camera import Camera, check_inputs, check_outputs
from ubcn_ros.node.diagnostics_publisher import DiagnosticsPublisher
from ubcn_ros.node.frame_queue import FrameQueue
from ubcn_ros.node.frames import Arrival
from ubcn_ros.node.loading import Load, load_and_warm_up, load_engine, warm_up_again
from ubcn_ros.node.middleware import ImageLoad, explain_room
from ubcn_ros.node.parameter_node import ParameterNode
from ubcn_ros.node.parameter_spec import Spec
from ubcn_ros.node.parameters import Settings
from ubcn_ros.node.pipeline import Pipeline
from ubcn_ros.node.qos import output_depth
from ubcn_ros.node.recovery import FailureStreak, error_text
from ubcn_ros.node.runtime_log import RuntimeLog
from ubcn_ros.node.topics import DERAINED, RAIN
from ubcn_ros.node.worker import Worker
from ubcn_ros.runtime.lost_gpu import gpu_lost
from ubcn_ros.runtime.out_of_memory import bare, free_memory

_WAIT_SECONDS = 1.0
"""How long a transition waits without a word."""


class UBCNNode(ParameterNode):
    """
    Derains and labels the images of its cameras with one engine.

    :ivar cameras: while configured.
    :ivar not_resized: why what is asked for by `processing_size` could not be warmed up; '' where
        it was.
    """

    def __init__(self, load: Load = load_engine, stopping: Callable[[], bool] | None = None,
                 **kwargs: Any):
        """
        Declare parameters; nothing is loaded before `configure`.

        :param load: makes the engine of the settings, in the worker's thread; its second argument
            logs a line of text.
        :param stopping: asked while loading whether to give it up; by default, whether ROS is shut
            down.
        :param kwargs: passed on to rclpy's LifecycleNode.
        :raises ValueError: a parameter was started with a value that cannot be taken.
        """
        super().__init__('ubcn', **kwargs)
        self.cameras: list[Camera] = []
        self._load = load
        self._stopping = stopping or (lambda: not self.context.ok())
        self._queue = FrameQueue(Arrival.batch_key)
        self._worker: Worker | None = None
        self._pipeline: Pipeline | None = None
        self._resizing: Future | None = None
        self._streak = FailureStreak()
        self._explained = 0  # bytes of images under way for which there is room, or a warning
        self._not_configured = self.not_resized = ''
        self._giving_up = self.create_guard_condition(self._give_up)
        self._diagnostics = DiagnosticsPublisher(self)
        self._runtime_log = RuntimeLog(self)

    def destroy_node(self) -> None:
        """Take the node down."""
        self._runtime_log.close()
        super().destroy_node()

    @property
    def configured(self) -> bool:
        """Whether the node holds an engine, or is loading it."""
        return self._worker is not None

    @property
    def engine(self) -> Any:
        """The warm engine; None while the node is not configured."""
        return self._pipeline and self._pipeline.engine

    @property
    def gave_up(self) -> str:
        """Why the node gave up, until it is configured again; '' where it did not."""
        return self._streak.gave_up

    @property
    def gpu_lost(self) -> str:
        """The error after which only another process can use the GPU; '' where there was none."""
        return self._streak.gpu_lost

    @property
    def failure(self) -> str:
        """Why there is no engine although one was asked for; '' where none was, or there is."""
        return self.gave_up or self.gpu_lost or self._not_configured

    def start(self) -> bool:
        """Configure and activate without being asked; False where either failed."""
        success = TransitionCallbackReturn.SUCCESS
        return self.change_state('configure') == success \
            and self.change_state('activate') == success

    @log_exceptions
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the engine and warm it up, then make the publishers."""
        settings, log = self.settings, self.get_logger()
        if self.gpu_lost and settings.device != 'cpu':
            log.error(f'cannot configure: {self.gpu_lost}')
            return TransitionCallbackReturn.FAILURE
        lost, self._streak = self.gpu_lost, FailureStreak()
        self._streak.gpu_lost = lost  # for as long as the process lives
        self._not_configured = self.not_resized = ''
        log.info(f"loading model '{settings.model}' on device '{settings.device}'")
        failure = None
        try:
            if not self._set_up(settings):
                return TransitionCallbackReturn.FAILURE
        except Exception as error:  # of a model file, a GPU, a QoS override
            failure = bare(error)
        if failure is not None:  # out of its handler, which may keep the engine
            reason = error_text(failure)
            self._not_configured = f'cannot configure: {reason}'
            log.error(self._not_configured)
            if gpu_lost(failure):
                self._streak.gpu_lost = reason
            self._release()
            return TransitionCallbackReturn.FAILURE
        engine, info = self.engine, self.engine.info
        log.info(f"model '{info.name}' (sha256 {info.sha256[:12]}) is ready on "
                 f'{engine.device}, {engine.precision}, {engine.backend}')
        if not engine.estimates_rain:
            log.info('the model does not estimate the rain: '
                     f'{" and ".join(RAIN)} are not published')
        if untrained := info.untrained_text():
            log.warning(untrained)
        return TransitionCallbackReturn.SUCCESS

    def _set_up(self, settings: Settings) -> bool:
        """Make what the state inactive holds; False where the node is told to stop meanwhile."""
        self._worker = Worker(self._queue, lambda batch: self._pipeline.process(batch))
        settings.check_lists()  # before loading takes its time
        check_inputs(self, settings)
        self._explained = 0
        self.explain_room()
        future = self._worker.submit(lambda: load_and_warm_up(self._load, settings, self._say))
        while not wait([future], timeout=0.1).done:
            if self._stopping():
                return False
            self._diagnostics.publish_if_due()
        engine, most = future.result()
        self._queue.take_at_most(most)
        check_outputs(self, settings.prefixes, engine.estimates_rain)
        self._pipeline = Pipeline(self, engine, self._streak, self._giving_up.trigger,
                                  self._take_fewer)
        for prefix, size in zip(settings.prefixes, settings.for_cameras('processing_size'),
                                strict=True):
            camera = Camera(self, self._queue, engine.label_set, prefix, info=engine.info,
                            rain=engine.estimates_rain, resized=self._resize)
            self.cameras.append(camera)
            camera.processing.asked = size
            camera.outputs.announce(settings.min_confidence)
        return True

    @log_exceptions
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        for camera, transport in zip(self.cameras, self.settings.for_cameras('input_transport'),
                                     strict=True):
            camera.open(transport)
        self.warn_of_unused_overrides()
        self._queue.serve(self.cameras)
        self.get_logger().info('active: waiting for images on '
                               + ', '.join(camera.topic for camera in self.cameras))
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe once the frames in hand are out; the engine stays warm."""
        self._wait_for(self._worker.pause())
        self._wait_for(self._pipeline.finish)
        for camera in self.cameras:
            camera.close()
        if not self.gave_up:
            return TransitionCallbackReturn.SUCCESS
        remedy = 'end the process and start it again' \
            if self.gpu_lost and self.settings.device != 'cpu' else \
            'mend the cause, then configure and activate it again'
        self.get_logger().fatal(f'{self.gave_up}. The node is unconfigured now: {remedy}')
        return TransitionCallbackReturn.ERROR

    @log_exceptions
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the engine and take the publishers down."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, from any state."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything; the node is unconfigured then and can be tried again."""
        if not self.failure:  # a callback of a transition raised
            self._not_configured = self.callback_errors.last
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def stop(self, timeout: float) -> bool:
        """
        End the worker's thread before the process ends, and publish what it has processed.

        :param timeout: seconds to wait, for both together.
        :return: False where one of them is still at it.
        """
        end = time.monotonic() + timeout
        return self._worker is None or (self._worker.close(timeout) and (
            self._pipeline is None or self._pipeline.finish(max(0.0, end - time.monotonic()))))

    def explain_room(self) -> None:
        """Warn where there is no room, or slow memory, for the largest images, once for each."""
        settings = self.settings
        sizes = [*self._pipeline.sizes.values()] if self._pipeline is not None else []
        height, width = max([(settings.warm_up_height, settings.warm_up_width), *sizes],
                            key=math.prod)
        depths = [output_depth(self._given, self.resolve_topic_name(prefix + DERAINED))
                  for prefix in settings.prefixes]
        load = ImageLoad(width, height, len(depths), max(depths))
        if load.sent <= self._explained:
            return
        self._explained = load.sent
        for text in (explain_room(get_rmw_implementation_identifier(), load, os.environ),
                     explain_malloc(load.image, os.environ)):
            if text:
                self.get_logger().warning(text)

    def set_parameters_atomically(self, parameter_list: list[Any]) -> SetParametersResult:
        """Set parameters together; a `processing_size` that did not fit may be asked for again."""
        before = self.settings
        result = super().set_parameters_atomically(parameter_list)
        if result.successful and self.not_resized and any(
                parameter.name == 'processing_size' for parameter in parameter_list) \
                and not self._size_changed(before):
            self._resize()
        return result

    def _apply_parameters(self, parameters: list[Any]) -> None:
        before = self.settings
        super()._apply_parameters(parameters)
        if self.settings.min_confidence != before.min_confidence:
            for camera in self.cameras:
                camera.outputs.announce(self.settings.min_confidence)
        if self.cameras and self._size_changed(before):
            self._resize()

    def _size_changed(self, before: Settings) -> bool:
        """Say whether a camera has another `processing_size`; for one camera, [240] is 240."""
        return self.settings.for_cameras('processing_size') != before.for_cameras(
            'processing_size')

    def _resize(self) -> None:
        """Warm up, before any further frame, for what parameter and camera infos say by then."""
        task = self._resizing
        if task is None or task.running() or task.done():  # else it is to come, for all of them
            self._resizing = self._worker.submit(partial(
                self._process_anew, self._pipeline, self.cameras))

    def _process_anew(self, pipeline: Pipeline, of: list[Camera]) -> None:
        """Warm up for the processing sizes of now, then use them; in the worker's thread."""
        settings = self.settings
        self._say(f'processing_size is {Spec.typed(settings.processing_size)} now: warming up')
        cameras = list(zip(of, settings.for_cameras('processing_size'), strict=True))
        usual = settings.warm_up_height, settings.warm_up_width
        sizes = [(*size, camera.processing.size(asked)) for camera, asked in cameras
                 if all(size := pipeline.sizes.get(camera, usual))]
        try:
            if sizes:  # else no camera was heard, and there is no warm-up
                self._queue.take_at_most(
                    warm_up_again(pipeline.engine, sizes, self._say))
        except Exception as error:
            if gpu_lost(error):
                self._streak.gpu_lost = error_text(error)
            stays = any(camera.processing.asked != asked for camera, asked in cameras)
            self.not_resized = (f'processing_size {Spec.typed(settings.processing_size)} cannot '
                                f'be warmed up{", the one before stays" * stays}: '
                                f'{error_text(error)}')
            self.get_logger().error(self.not_resized)
            return
        self.not_resized = ''
        for camera, asked in cameras:
            camera.processing.asked = asked

    def _take_fewer(self, most: int, reason: str) -> None:
        """Let fewer images go together, until it is warmed up again; in the worker's thread."""
        self._queue.take_at_most(most)
        self.get_logger().warning(f'images are taken {most} at a time from now on, as {most + 1} '
                                  f'together failed: {reason}')

    def _say(self, text: str) -> None:
        if self.context.ok():  # else the logger complains about itself
            self.get_logger().info(text)

    def _give_up(self) -> None:
        """Go from active through error processing to unconfigured, in the executor's thread."""
        if self.gave_up and self._worker is not None:
            self.change_state('deactivate')  # its callback returns ERROR: the error transition

    def _wait_for(self, step: Callable[[float], bool]) -> None:
        """
        Wait for the other threads in the executor's; diagnostics of the engine go on meanwhile.

        :param step: waits for so many seconds, and says whether it has come.
        """
        told = time.monotonic() + _WAIT_SECONDS
        while not step(0.1):
            self._diagnostics.publish_if_due()
            if time.monotonic() >= told:
                self._say('waiting for the frame, or the warm-up, that is in hand')
                told += 10 * _WAIT_SECONDS

    def _release(self) -> None:
        worker = self._worker
        if worker is None:
            return
        if self._resizing is not None:
            self._resizing.cancel()  # unless it runs: nothing is to be warm any more
        self._wait_for(worker.pause())  # told to stop here, `stop` ends the thread
        self._worker, self.not_resized = None, ''
        with ExitStack() as stack:  # from the last to the first, whatever one of them raises
            stack.callback(worker.close)
            if worker.started:  # else there is nothing to free
                stack.callback(self._free_memory, worker)
            for camera in self.cameras:
                stack.callback(camera.destroy)
            if self._pipeline is not None:
                stack.callback(self._pipeline.close)
            self.cameras, self._pipeline = [], None

    def _free_memory(self, worker: Worker) -> None:
        freed = worker.submit(free_memory)
        self._wait_for(lambda seconds: bool(wait([freed], seconds).done))
        freed.result()
