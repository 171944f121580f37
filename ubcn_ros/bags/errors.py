# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of bags."""

from __future__ import annotations


class BagError(ValueError):
    """A bag cannot be read or written as asked; the text names what is there and the remedy."""


class MalformedMessage(BagError):
    """A message of a bag cannot be the image that its type says; the text says why."""


def reason(error: BaseException) -> str:
    """Return what an error of another library says, in one line."""
    text = ' '.join((getattr(error, 'strerror', None) or str(error)).split())
    return text or type(error).__name__
