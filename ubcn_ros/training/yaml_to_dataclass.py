# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plain values, as a YAML file has them, checked and made into dataclasses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any


def build(kind: type, values: dict[str, Any], where: str) -> Any:
    """
    Make a dataclass, and those in it, of mappings.

    :param where: the values come from, for errors.
    :raises ValueError: unknown or missing keys, naming them, or what a value is instead.
    """
    if not isinstance(values, dict):
        raise ValueError(f'{where} must be a mapping, got {values!r}')
    known = {f.name: f for f in fields(kind)}
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise ValueError(f'{where}: unknown {", ".join(unknown)}; known are {", ".join(known)}')
    built = {}
    for key, value in values.items():
        default = (known[key].default_factory() if callable(known[key].default_factory)
                   else known[key].default)
        if is_dataclass(default) and not is_dataclass(value):
            value = build(type(default), value, f'{where}.{key}')
        else:
            value = converted(value, default, f'{where}.{key}')
        built[key] = value
    missing = [key for key, f in known.items() if key not in built
               and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise ValueError(f'{where}: {", ".join(missing)} is missing')
    try:
        return kind(**built)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error


def converted(value: Any, default: Any, where: str) -> Any:
    """Return a value of the default's type: YAML reads 1e-3 as text. ValueError naming the key."""
    wanted = type(default)
    try:
        if isinstance(default, tuple):
            if not isinstance(value, (list, tuple)) or (default and len(value) != len(default)):
                raise ValueError
            return tuple(converted(v, default[0], where) if default else v for v in value)
        if wanted is bool or isinstance(value, bool):
            if not (wanted is bool and isinstance(value, bool)):
                raise ValueError
        elif wanted is float:
            return float(value)
        elif wanted is int:
            if float(value) != int(float(value)):
                raise ValueError
            return int(float(value))
        elif wanted in (str, dict) and not isinstance(value, wanted):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f'{where} is {value!r}: expected something like {default!r}') from None
    return value


def merged(values: Any, changes: Any) -> Any:
    """
    Return mappings with the changes put in, those within them likewise.

    One that names a ``network`` replaces what was there: that is of another one.
    """
    if not isinstance(values, dict) or not isinstance(changes, dict) or 'network' in changes:
        return changes
    return {**values, **{key: merged(values.get(key), change) for key, change in changes.items()}}


def differences(begun: Any, now: Any, where: str = '',
                said: Mapping[str, str] | None = None) -> list[str]:
    """
    Return lines that name what differs between what was begun with and what is given.

    :param said: lines by the name of what differs, where its values say nothing to people.
    """
    if isinstance(begun, dict) and isinstance(now, dict):
        return [line for key in {**begun, **now}
                for line in differences(begun.get(key), now.get(key),
                                         f'{where}.{key}' if where else key, said)]
    return [] if begun == now else [
        (said or {}).get(where, f'{where}: {begun} before, {now} now')]


def check_choice(what: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ValueError where a value is not one of those known."""
    if value not in known:
        raise ValueError(f'unknown {what} {value!r}: choose one of {", ".join(known)}')


def check_text(what: str, *values: Any) -> None:
    """Raise ValueError where a value is not a string, or empty."""
    for value in values:
        if not isinstance(value, str) or not value:
            raise ValueError(f'{what} holds {value!r}: expected text'
                             + ('' if isinstance(value, str) else ', in quotes'))


def check_range(config: Any, names: tuple[str, ...], least: float, most: float = math.inf
                ) -> None:
    """Raise ValueError where an attribute, or a number of it, is out of range."""
    for name in names:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            # NaN is in no range, infinity in none either
            if not least <= number <= most or math.isinf(number):
                raise ValueError(f'{name} is {number}: expected {least} or more' if
                                 math.isinf(most) else
                                 f'{name} is {number}: expected {least} to {most}')
