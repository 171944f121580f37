# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keyword arguments that a recipe or a model file gives by name, checked against those known."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def called(what: Callable[..., Any], where: str, values: Mapping[str, Any], **fixed: Any) -> Any:
    """
    Call a class or function with keyword arguments that somebody wrote.

    :param where: the keyword arguments are, for the error.
    :param fixed: further ones, which are not for somebody to write.
    :raises TypeError: unknown ones, naming them and those known.
    """
    parameters = inspect.signature(what).parameters
    if all(each.kind != each.VAR_KEYWORD for each in parameters.values()):
        known = [name for name in parameters if name not in fixed]
        if unknown := [str(key) for key in values if key not in known]:
            raise TypeError(f'{where}: unknown {", ".join(unknown)}; known are '
                            f'{", ".join(known) or "none"}')
    return what(**fixed, **values)
