# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The lifecycle node.

| state        | holds                                                          |
|--------------|----------------------------------------------------------------|
| unconfigured | parameters, diagnostics                                        |
| inactive     | and the worker thread with the warm engine, and the publishers |
| active       | and the subscriptions                                          |

The executor's thread runs callbacks, each of them short; the worker's thread owns the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import ExitStack
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from .camera import Camera
from .diagnostics import Level, Report, Throttle, resident_mib
from .jobs import Arrival, engine_deadline
from .lifecycle import AnsweringNode, log_exceptions
from .parameters import SPECS, Settings, declare, refusal, unchanged, unknown_names
from .recovery import FailureStreak, free_memory, infer, one_line, out_of_memory
from .worker import Worker

LARGEST_BATCH = 4
"""Images at a time, at most: each waits for the whole batch, and each count is warmed up."""


def load_engine(settings: Settings, progress: Callable[[str], None]) -> Any:
    """Load the engine that the settings name; lines of text say what takes long."""
    from ubcn_ros.runtime import Engine  # takes seconds: not before it is needed
    return Engine.load(settings.model, device=settings.device, precision=settings.precision,
                       backend=settings.backend, fused=settings.fused, progress=progress,
                       allow_partial=settings.allow_partial_model)


class UBCNNode(AnsweringNode):
    """Derains and labels the images of its cameras with one engine."""

    def __init__(self, load: Callable[[Settings, Callable[[str], None]], Any] = load_engine,
                 **kwargs: Any):
        """
        Declare parameters; nothing is loaded before `configure`.

        :param load: makes the engine of the settings, in the worker's thread; its second argument
            logs a line of text.
        :param kwargs: passed on to rclpy's LifecycleNode.
        :raises ValueError: a parameter was started with a value that cannot be taken.
        """
        super().__init__('ubcn', **kwargs)
        self._load = load
        self._engine: Any = None
        self._worker: Worker | None = None
        self._cameras: list[Camera] = []
        self._throttle, self._rare = Throttle(), Throttle(60.0)
        self._streak = FailureStreak()
        self._gave_up = ''  # why, until it is configured again
        self._giving_up = self.create_guard_condition(self._give_up)
        self.settings = declare(self)
        for complaint in unknown_names(getattr(self, '_parameter_overrides', {})):
            self.get_logger().warning(complaint)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Diagnostics go on when simulated time stands still.
        self.create_timer(1.0, self._publish_diagnostics,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> bool:
        """Configure and activate without being asked; False where either failed."""
        success = TransitionCallbackReturn.SUCCESS
        return self.change_state('configure') == success \
            and self.change_state('activate') == success

    @log_exceptions
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the engine and warm it up, then make the publishers."""
        settings, log = self.settings, self.get_logger()
        self._streak, self._gave_up = FailureStreak(), ''
        log.info(f"loading model '{settings.model}' on device '{settings.device}'")
        self._worker = Worker(self._process, key=Camera.size)
        try:
            settings.transports()  # before loading takes its time
            future = self._worker.submit(lambda: self._prepare(settings))
            while not wait([future], timeout=0.1).done:
                if not self.context.ok():  # told to stop meanwhile
                    return TransitionCallbackReturn.FAILURE
            self._engine = future.result()
            for name in settings.cameras or ('',):
                self._cameras.append(Camera(self, self._worker.condition, self._engine.label_set,
                                            name and f'{name}/'))
        except Exception as error:  # of a model file, a GPU, a QoS override
            log.error(f'cannot configure: {one_line(error)}')
            self._release()
            return TransitionCallbackReturn.FAILURE
        info = self._engine.info
        log.info(f"model '{info.name}' (sha256 {info.sha256[:12]}) is ready on "
                 f'{self._engine.device}, {self._engine.precision}, {self._engine.backend}')
        if untrained := info.untrained_text():
            log.warning(untrained)
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        for camera, transport in zip(self._cameras, self.settings.transports(), strict=True):
            camera.open(transport)
        self._worker.serve(self._cameras)
        self.get_logger().info('active: waiting for images on '
                               + ', '.join(camera.topic for camera in self._cameras))
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe once the frame in hand is out; the engine stays warm."""
        self._worker.pause()
        for camera in self._cameras:
            camera.close()
        return TransitionCallbackReturn.ERROR if self._gave_up else \
            TransitionCallbackReturn.SUCCESS

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
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def stop(self, timeout: float) -> bool:
        """
        End the worker's thread before the process ends.

        :param timeout: seconds to wait for what it has in hand.
        :return: False where it is still at it.
        """
        return self._worker is None or self._worker.close(timeout)

    def _prepare(self, settings: Settings) -> Any:
        engine = self._load(settings, self._say)
        self._worker.most = min(max(len(settings.cameras), 1), LARGEST_BATCH)
        height, width = settings.warm_up_height, settings.warm_up_width
        if height and width:
            started = time.monotonic()
            self._worker.most = self._warm_up(engine, height, width, self._worker.most)
            self._say(f'warmed up for {width} x {height} in {time.monotonic() - started:.1f} s')
        return engine

    def _warm_up(self, engine: Any, height: int, width: int, most: int) -> int:
        """Warm up for every batch that the cameras can form; return the largest that fits."""
        for count in range(1, most + 1):
            try:
                engine.warm_up(height, width, progress=self._say, count=count)
                continue
            except Exception as error:
                if count == 1 or not out_of_memory(error):
                    raise
                reason = one_line(error)
            free_memory()  # outside the handler: the traceback kept what had been allocated
            self._say(f'memory suffices for {count - 1} of the cameras at a time: {reason}')
            return count - 1
        return most

    def _say(self, text: str) -> None:
        if self.context.ok():  # else the logger complains about itself
            self.get_logger().info(text)

    def _process(self, batch: list[tuple[Camera, Arrival]]) -> None:
        """
        Handle an image of each of these cameras, in the worker's thread.

        Nothing that goes wrong ends the thread.
        """
        settings, jobs = self.settings, []
        for camera, arrival in batch:
            if self._gave_up:
                camera.statistics.dropped_failed(self._gave_up)
                continue
            try:
                job = camera.prepare(settings, arrival)
            except Exception as error:
                self._failed(camera, error)
            else:
                jobs += [(camera, job)] if job is not None else []
        if not jobs:
            return
        outcomes = infer(self._engine, [job.image for _, job in jobs], settings.iterations,
                         engine_deadline([job for _, job in jobs]),
                         any(job.confidence for _, job in jobs))
        for (camera, job), outcome in zip(jobs, outcomes, strict=True):
            try:
                if outcome.error is not None:
                    raise outcome.error
                camera.finish(job, outcome, settings)
                self._streak.succeeded()
            except Exception as error:
                self._failed(camera, error)

    def _failed(self, camera: Camera, error: Exception) -> None:
        if not self.context.ok():  # publishers are gone when the process is told to stop
            return
        reason, limit = one_line(error), self.settings.max_failures
        camera.statistics.dropped_failed(reason)
        if self._throttle.passes(type(error).__name__) is not None:
            self.get_logger().error(f'{camera.topic}: frame dropped: {reason}')
        if self._streak.failed(limit) and not self._gave_up:
            self._gave_up = f'gave up after {self._streak.count} failures in a row, the last: ' \
                + reason
            self._giving_up.trigger()

    def _give_up(self) -> None:
        """Go from active through error processing to unconfigured, in the executor's thread."""
        if not self._gave_up or self._worker is None:
            return
        self.get_logger().fatal(
            f'{self._gave_up}. The node is unconfigured now: mend the cause, then configure and '
            'activate it again')
        self.change_state('deactivate')  # its callback returns ERROR: that is the error transition

    def _release(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.pause()
        with ExitStack() as stack:  # from the last to the first, whatever one of them raises
            stack.callback(worker.close)
            stack.callback(lambda: worker.submit(free_memory).result())
            for camera in self._cameras:
                stack.callback(camera.destroy)
            self._cameras, self._engine = [], None

    def set_parameters(self, parameter_list: list[Any]) -> list[SetParametersResult]:
        """Set parameters one by one, as rclpy's method does."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Any]) -> SetParametersResult:
        """
        Set parameters together; a value equal to the present one is taken for every parameter.

        Else a file of `ros2 param dump` could not be loaded, as it lists what cannot change, too.
        """
        unknown = unknown_names(parameter.name for parameter in parameter_list
                                if not self.has_parameter(parameter.name))
        if unknown:  # rclpy's refusal does not say which
            return SetParametersResult(successful=False, reason='; '.join(unknown))
        changes = [parameter for parameter in parameter_list
                   if not self.has_parameter(parameter.name) or not unchanged(
                       parameter.name, self.get_parameter(parameter.name).value, parameter.value)]
        if not changes:
            return SetParametersResult(successful=True)
        return super().set_parameters_atomically(changes)

    def _check_parameters(self, parameters: list[Any]) -> SetParametersResult:
        configured = self._worker is not None
        # one by one: a list may name a parameter twice
        reason = next(filter(None, (refusal({parameter.name: parameter.value}, configured)
                                    for parameter in parameters)), '')
        return SetParametersResult(successful=not reason, reason=reason)

    def _apply_parameters(self, parameters: list[Any]) -> None:
        # one assignment: the worker sees all of a change or nothing of it
        self.settings = Settings.of(
            {spec.name: self.get_parameter(spec.name).value for spec in SPECS})

    def _publish_diagnostics(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        name = self.get_fully_qualified_name().lstrip('/')
        engine = self._engine_report()
        twins = self._twins()
        if twins:
            engine.level, engine.message = max(engine.level, Level.WARN), twins
        self.callback_errors.put_into(engine)
        message.status = [_status(f'{name}: engine', engine, self.settings.model)]
        message.status += [_status(f'{name}: {camera.name}', camera.report(), camera.topic)
                           for camera in self._cameras]
        self._diagnostics.publish(message)

    def _twins(self) -> str:
        """Warn where another node has this one's name; '' where none has."""
        own = (self.get_name(), self.get_namespace())
        count = self.get_node_names_and_namespaces().count(own)
        if count < 2:
            return ''
        text = (f'{count} nodes are named {self.get_fully_qualified_name()}: parameters and '
                'lifecycle services reach any of them; rename one with -r __node:=NAME or '
                '-r __ns:=/NAMESPACE')
        if self._rare.passes('twins') is not None:
            self.get_logger().warning(text)
        return text

    def _engine_report(self) -> Report:
        memory = {'resident memory (MiB)': f'{resident_mib():.1f}'}
        if self._engine is None and self._gave_up:
            return Report(Level.ERROR, f'{self.lifecycle_state}: {self._gave_up}', memory)
        if self._engine is None:
            return Report(Level.WARN, f'{self.lifecycle_state}: no model loaded', memory)
        engine, settings = self._engine, self.settings
        if engine.device.type == 'cuda':
            import torch
            memory['GPU memory (MiB)'] = f'{torch.cuda.memory_reserved(engine.device) / 2**20:.1f}'
        untrained = engine.info.untrained_text()
        level = Level.WARN if untrained else Level.OK
        return Report(level, untrained or f'{engine.info.name} on {engine.device}', {
            'model': engine.info.name, 'model sha256': engine.info.sha256,
            'device': str(engine.device), 'precision': engine.precision,
            'backend': engine.backend, 'iterations': str(settings.iterations),
            'deadline (ms)': f'{settings.deadline_ms:g}', **memory})


def _status(name: str, report: Report, hardware_id: str) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=bytes([report.level]), name=name, message=report.message, hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in report.values.items()])
