# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Declare the parameters of the table on a node, check them when they are set, apply them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)

from ubcn_ros.node.answering_node import AnsweringNode
from ubcn_ros.node.parameter_spec import Spec
from ubcn_ros.node.parameters import SPECS, Settings, refusal, unchanged, unknown_names
from ubcn_ros.node.qos import OVERRIDES, check_overrides, unused_overrides


class ParameterNode(AnsweringNode):
    """
    A lifecycle node whose parameters are those of the table.

    :ivar settings: all values at one moment; replaced as a whole by each change.
    """

    def __init__(self, name: str, **kwargs: Any):
        """
        Declare parameters, and warn of unknown ones.

        :param kwargs: passed on to rclpy's LifecycleNode.
        :raises ValueError: a parameter was started with a value that cannot be taken.
        """
        super().__init__(name, **kwargs)
        self.settings = declare(self)
        self._given = {name: parameter.value for name, parameter in
                       getattr(self, '_parameter_overrides', {}).items()}
        check_overrides(self._given)
        for complaint in unknown_names(self._given):
            self.get_logger().warning(complaint)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    @property
    def configured(self) -> bool:
        """Whether the node holds what parameters that are fixed at configure decide on."""
        return False

    def warn_of_unused_overrides(self) -> None:
        """Warn of parameters that override QoS of topics that are not there, or misspelt ones."""
        declared = self.list_parameters([OVERRIDES.rstrip('.')], 0).names
        for text in unused_overrides(self._given, declared):
            self.get_logger().warning(text)

    def set_parameters(self, parameter_list: list[Any]) -> list[SetParametersResult]:
        """Set parameters one by one, as rclpy's method does."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Any]) -> SetParametersResult:
        """
        Set parameters together; a value equal to the present one is taken for every parameter.

        Else a file of `ros2 param dump` could not be loaded, as it lists what cannot change, too.
        """
        strangers = [parameter.name for parameter in parameter_list
                     if not self.has_parameter(parameter.name)]
        if unknown := [*unknown_names(strangers), *(
                f"'{name}' is read when topics are made: give it at the start"
                for name in strangers if name.startswith(OVERRIDES))]:
            # rclpy's refusal does not say which
            return SetParametersResult(successful=False, reason='; '.join(unknown))
        times = Counter(parameter.name for parameter in parameter_list)  # the last one counts
        changes = [parameter for parameter in parameter_list
                   if times[parameter.name] > 1 or not self.has_parameter(parameter.name)
                   or not unchanged(
                       parameter.name, self.get_parameter(parameter.name).value, parameter.value)]
        if not changes:
            return SetParametersResult(successful=True)
        return super().set_parameters_atomically(changes)

    def _check_parameters(self, parameters: list[Any]) -> SetParametersResult:
        reason = next(filter(None, (refusal(parameter.name, parameter.value, self.configured)
                                    for parameter in parameters)), '')
        if not reason and self.configured:
            reason = self._lists_refusal(parameters)
        return SetParametersResult(successful=not reason, reason=reason)

    def _lists_refusal(self, parameters: list[Any]) -> str:
        """Say why lists do not fit the cameras, which are fixed by now."""
        changes = {parameter.name: parameter.value for parameter in parameters}
        try:
            Settings.of({**asdict(self.settings), **changes}).check_lists()
        except ValueError as error:
            return str(error)
        return ''

    def _apply_parameters(self, parameters: list[Any]) -> None:
        # one assignment: the worker sees all of a change or nothing of it
        self.settings = Settings.of(
            {spec.name: self.get_parameter(spec.name).value for spec in SPECS})


def declare(node: Any) -> Settings:
    """
    Declare every parameter on an rclpy node and read the values it was started with.

    :raises ValueError: a value out of range or of the wrong type.
    """
    values = {}
    for spec in SPECS:
        free = ParameterDescriptor(dynamic_typing=True)
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        values[spec.name] = node.declare_parameter(spec.name, default, free).value
        if values[spec.name] is None and default == []:
            # What an empty list in a file leaves could be neither read nor dumped by others.
            node.undeclare_parameter(spec.name)
            node.declare_parameter(spec.name, default, free, ignore_override=True)
        if reason := spec.refusal(values[spec.name]):
            raise ValueError(reason)
        # afterwards, as the refusal of its range says less
        node.set_descriptor(spec.name, _descriptor(spec))
    return Settings.of(values)


def _descriptor(spec: Spec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        name=spec.name, description=f'{spec.description} Changes: {spec.changes.value}.',
        additional_constraints=spec.constraint,
        # An integer given for a number is taken, and refusals are worded here.
        dynamic_typing=True)
    if isinstance(spec.default, float):
        descriptor.floating_point_range.append(
            FloatingPointRange(from_value=spec.low, to_value=spec.high, step=0.0))
    elif spec.low is not None and not spec.also:
        descriptor.integer_range.append(
            IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1))
    return descriptor
