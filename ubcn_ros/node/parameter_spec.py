# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Say what one parameter may be: read it as it is typed, refuse what it cannot be; ROS-free."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import yaml


class Changes(Enum):
    """When a parameter may change."""

    AT_START = 'at start only'
    AT_CONFIGURE = 'while unconfigured'
    AT_RUNTIME = 'at any time, applied at the next frame'


@dataclass(frozen=True)
class Spec:
    """One parameter: its default, what is allowed, what it means, and when it may change."""

    name: str
    default: bool | int | float | str | tuple[str, ...]  # a tuple is a list of strings to ROS
    description: str  # one sentence or more, for --help and `ros2 param describe`
    changes: Changes
    low: float | None = None  # of a number
    high: float | None = None  # of a number, included
    also: tuple[int, ...] = ()  # numbers outside that range that are allowed, too
    choices: tuple[str, ...] = ()  # all that a string may be
    pattern: str = ''  # regular expression that a string, or each one of a list, has to match
    allowed: str = ''  # `pattern` in words
    per_camera: bool = False  # also takes a list of such values, one for each camera

    @property
    def constraint(self) -> str:
        """What is allowed, in words."""
        if self.allowed:
            return self.allowed
        listed = ', or a list of these, one for each camera' if self.per_camera else ''
        if self.choices:
            return 'one of ' + ', '.join(self.choices) + listed
        if self.low is None:
            return _KINDS[type(self.default)]
        also = f'{", ".join(map(str, self.also))} or ' if self.also else ''
        return f'{also}{self.low:.9g} to {self.high:.9g}{listed}'

    def parse(self, text: str) -> Any:
        """
        Read a value as it is typed on a command line; what cannot be read comes back as it is.

        Lists are separated by commas, or YAML: front,left or [front, left].
        """
        wanted = type(self.default)
        if wanted is tuple:
            return _listed(text)
        if self.per_camera and re.search(r'[\s,\[]', text.strip()):
            items = _listed(text)
            return [self.parse(item) for item in items] if isinstance(items, list) else items
        if wanted is bool:
            return {'true': True, 'false': False}.get(text.strip().lower(), text)
        try:
            return wanted(text)
        except ValueError:
            return text

    @staticmethod
    def typed(value: Any) -> str:
        """Write a value as it is typed on a command line."""
        if isinstance(value, tuple):
            return f'[{", ".join(map(str, value))}]'
        return str(value).lower() if isinstance(value, bool) else str(value)

    def take(self, value: Any) -> Any:
        """Return a value that is not refused as the settings hold it."""
        if isinstance(self.default, tuple):
            return _items(value)
        if self.per_camera and is_list(value):
            return tuple(value)
        return type(self.default)(value)

    def refusal(self, value: Any) -> str:
        """Say why a value cannot be taken; '' where it can."""
        wanted = type(self.default)
        if wanted is tuple:
            return self._list_refusal(value)
        if self.per_camera and (is_list(value) or not isinstance(value, wanted)):
            fits = is_list(value) and value and not any(
                is_list(item) or self.refusal(item) for item in value)
            return '' if fits else f'{self.name} must be {self.constraint}, got {value!r}'
        # 30 for 30.0 is what people type; True for 1 is a mistake.
        kinds = int | float if wanted is float else wanted
        fits = isinstance(value, kinds) and (wanted is bool or not isinstance(value, bool))
        if not fits:
            like = '' if wanted is bool else f', like {self.default!r}'
            return f'{self.name} must be {_KINDS[wanted]}{like}; got {value!r}'
        if self.choices:
            fits = value in self.choices
        elif self.pattern:
            fits = re.fullmatch(self.pattern, value)
        elif self.low is not None:  # also refuses NaN
            fits = self.low <= value <= self.high or value in self.also
        return '' if fits else f'{self.name} must be {self.constraint}, got {value!r}'

    def _list_refusal(self, value: Any) -> str:
        items = _items(value)
        if items is None or not all(re.fullmatch(self.pattern, item) for item in items):
            return f'{self.name} must be {self.constraint}, got {value!r}'
        twice = sorted({item for item in items if items.count(item) > 1})
        return f'{self.name} has {", ".join(twice)} more than once' if twice else ''


def _items(value: Any) -> tuple[str, ...] | None:
    """
    Return a list of strings as a tuple; None where it is anything else.

    An empty list in a parameter file arrives as no value at all; [''] is how people write one.
    """
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) \
            or not all(isinstance(item, str) for item in value):
        return None
    return () if list(value) == [''] else tuple(value)


def is_list(value: Any) -> bool:
    """Say whether a value is a list as rclpy or YAML has them."""
    return isinstance(value, Sequence | array) and not isinstance(value, str | bytes)


def _listed(text: str) -> Any:
    if not text.lstrip().startswith('['):
        return [item for item in re.split(r'[\s,]+', text) if item]
    try:
        return yaml.load(text, yaml.BaseLoader)  # whose items are strings, even on and 1
    except yaml.YAMLError:
        return text


_KINDS = {bool: 'true or false', int: 'an integer', float: 'a number', str: 'a string'}
