# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Answer every request to a lifecycle node, whatever is asked of it in whatever state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from ubcn_ros.node.callback_errors import CallbackErrors
from ubcn_ros.node.recovery import error_text

_TYPES = {kind.value for kind in Parameter.Type}
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def log_exceptions(transition: Transition) -> Transition:
    """
    Decorate a transition's callback: what it raises is logged, and means ERROR.

    rclpy (7.1) would say nothing, and with a result of another type it would stay between two
    states for ever.
    """
    @functools.wraps(transition)
    def wrapper(self: AnsweringNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            result = transition(self, state)
            if not isinstance(result, TransitionCallbackReturn):
                raise TypeError(f'returned {result!r} instead of a TransitionCallbackReturn')
            return result
        except Exception as error:
            self.callback_failed(transition.__name__, error, always=True)
            return TransitionCallbackReturn.ERROR
    return wrapper


class AnsweringNode(LifecycleNode):
    """
    Answers every service request, and counts what callbacks raise.

    In rclpy (7.1) a transition that is not possible raises an exception, and a service whose
    callback raises does not answer: the client waits for ever.

    :ivar callback_errors: exceptions of callbacks, those included that an executor reports to
        `callback_failed`.
    """

    def __init__(self, name: str, **kwargs: Any):
        """
        Make the node, unconfigured.

        :param kwargs: passed on to rclpy's LifecycleNode.
        """
        super().__init__(name, **kwargs)
        self.callback_errors = CallbackErrors()
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = self._on_change_state
            service.callback = self._always_answering(service)
            if service.srv_type in (SetParameters, SetParametersAtomically):
                service.callback = _refuse_unknown_types(service.callback)

    @property
    def lifecycle_state(self) -> str:
        """Label of the state that the node is in, like 'inactive'."""
        return self._state_machine.current_state[1]

    def callback_failed(self, where: str, error: Exception, always: bool = False) -> None:
        """Count what a callback raised, and log it in one line, now and then or always."""
        if not self.context.ok():  # told to stop: handles are gone, and the logger with them
            return
        if line := self.callback_errors.add(where, error, always):
            self.get_logger().error(line)

    def change_state(self, label: str, number: int = 0) -> TransitionCallbackReturn:
        """
        Make a transition, with its callback; raise nothing.

        :param label: configure, activate, deactivate, cleanup or shutdown.
        :param number: id of the transition; counts where the label is empty.
        :return: what the callback returned; FAILURE, with a line in the log, where the transition
            is not possible in the present state.
        """
        triggers = {'configure': self.trigger_configure, 'activate': self.trigger_activate,
                    'deactivate': self.trigger_deactivate, 'cleanup': self.trigger_cleanup,
                    'shutdown': self.trigger_shutdown}
        possible = {name: id_ for id_, name, *_ in self._state_machine.available_transitions
                    if name in triggers}
        wanted = label or next((name for name, id_ in possible.items() if id_ == number), None)
        if wanted not in possible:
            known = ', '.join(f'{name} ({id_})' for name, id_ in possible.items())
            self.get_logger().warning(
                f'transition {repr(label) if label else number} is not possible in state '
                f'{self.lifecycle_state}; ' + (f'possible are {known}' if known else
                                               'end the process and start it again'))
            return TransitionCallbackReturn.FAILURE
        try:
            result = triggers[wanted]()
        except Exception as error:  # of publishing the transition
            self.callback_failed(f'transition {wanted}', error, always=True)
            result = TransitionCallbackReturn.ERROR
        if result == TransitionCallbackReturn.ERROR and self.context.ok():
            self.get_logger().error(
                f'transition {wanted} ended in an error: the node is {self.lifecycle_state}')
        return result

    def _on_change_state(self, request: Any, response: Any) -> Any:
        result = self.change_state(request.transition.label, request.transition.id)
        response.success = result == TransitionCallbackReturn.SUCCESS
        return response

    def _always_answering(self, service: Any) -> Callable[[Any, Any], Any]:
        callback = service.callback

        def answer(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except Exception as error:
                self.callback_failed(f'service {service.srv_name}', error)
                return _refusal(request, response, error)
        return answer


def _refuse_unknown_types(set_parameters: Callable[[Any, Any], Any]
                          ) -> Callable[[Any, Any], Any]:
    """Decorate a callback that sets parameters: a type that rclpy does not know raises there."""
    def checked(request: Any, response: Any) -> Any:
        refused = [None if parameter.value.type in _TYPES else SetParametersResult(
            successful=False, reason=f"parameter '{parameter.name}' has the type "
            f'{parameter.value.type}, which rcl_interfaces/msg/ParameterType does not name')
            for parameter in request.parameters]
        if any(refused) and isinstance(response, SetParametersAtomically.Response):
            response.result = next(filter(None, refused))
            return response
        request.parameters = [parameter for parameter, refusal in zip(
            request.parameters, refused, strict=True) if refusal is None]
        response = set_parameters(request, response)
        if any(refused):
            results = iter(response.results)
            response.results = [refusal or next(results) for refusal in refused]
        return response
    return checked


def _refusal(request: Any, response: Any, error: Exception) -> Any:
    """Answer a request whose callback raised: what was done of it stays, the rest is refused."""
    refused = SetParametersResult(successful=False, reason=error_text(error))
    if isinstance(response, SetParameters.Response):
        missing = len(request.parameters) - len(response.results)
        response.results = [*response.results, *[refused] * missing]
        return response
    if isinstance(response, SetParametersAtomically.Response):
        response.result = refused
        return response
    return type(response)()
