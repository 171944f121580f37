# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fonts of the system for what the usual ones lack, such as names of classes in Chinese."""

from __future__ import annotations

import functools
import logging
import subprocess
import unicodedata
from pathlib import Path

_LOG = logging.getLogger(__name__)
_LONGEST_S = 30.0  # fontconfig reads every font once after some were installed


@functools.cache
def font_with(characters: str) -> Path | None:
    """
    Ask fontconfig for a font that has all of some characters, if possible without serifs.

    :return: its file; None where there is none, or no fontconfig.
    """
    wanted = f'charset={" ".join(f"{ord(each):x}" for each in characters)}:color=false'
    try:
        best, those = (subprocess.run(
            [command, '-f', '%{file}\n', pattern], capture_output=True, text=True, check=True,
            timeout=_LONGEST_S).stdout.splitlines() for command, pattern in (
                ('fc-match', f'sans-serif:{wanted}'), ('fc-list', f':{wanted}:scalable=true')))
    except (OSError, subprocess.SubprocessError):
        return None
    return next((Path(file) for file in best if file in those), None)


@functools.cache
def _warn() -> None:
    _LOG.warning('letters that no font of this system has are drawn as their numbers, such as '
                 'U+884C: install one that has them, such as fonts-noto-cjk')


def spelled(text: str, missing: str) -> str:
    """Write a text without characters that no font has: as U+884C, or by the letter under it."""
    def plain(character: str) -> str:
        letter = unicodedata.normalize('NFKD', character)[:1]
        return letter if letter.isascii() else f' U+{ord(character):04X} '
    if any('U+' in plain(each) for each in missing):
        _warn()
    spelled_out = ''.join(plain(each) if each in missing else each for each in text)
    return ' '.join(spelled_out.split())


@functools.cache
def in_matplotlib(text: str) -> tuple[str, tuple[str, ...]]:
    """
    Return a text as matplotlib can draw it, and the families whose letters it needs.

    >>> in_matplotlib('road')[0]
    'road'
    """
    import matplotlib
    from matplotlib import font_manager
    families = tuple(matplotlib.rcParams['font.family'])
    usual = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    missing = ''.join(sorted({each for each in text if each != '\n'
                              and not usual.get_char_index(ord(each))}))
    if not missing:
        return text, families
    font = font_with(missing)
    if font is None:
        return spelled(text, missing), families
    # by its path, for each weight that is asked for
    font_manager.fontManager.ttflist += [font_manager.FontEntry(
        fname=str(font), name=str(font), weight=weight, stretch='normal', size='scalable',
        style='normal', variant='normal') for weight in (400, 700)]
    return text, (*families, str(font))
