# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text for people: the one table that commands print, and how numbers and lists are written."""

from __future__ import annotations

import math
from collections.abc import Sequence


def table(header: Sequence[str] | None, rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)
          ) -> str:
    """
    Lay out a text table, as every command shows one.

    :param header: of the columns; None leaves it out.
    :param left: columns that are flush left; the others are flush right.
    """
    heads = [] if header is None else [header]
    widths = [max(map(len, column)) for column in zip(*heads, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        return '  '.join(cell.ljust(width) if i in left else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths, strict=True))
                         ).rstrip()

    rule = '  '.join('-' * width for width in widths)
    return '\n'.join([text for head in heads for text in (line(head), rule)]
                     + [line(row) for row in rows])


def counted(number: int, noun: str, plural: str = '') -> str:
    """Write a number with its noun."""
    return f'{number} {noun if number == 1 else plural or noun + "s"}'


def fixed(value: float | None, digits: int = 2) -> str:
    """Write a number with so many digits after the point; '-' where it is None or NaN."""
    return '-' if value is None or math.isnan(value) else f'{value:.{digits}f}'


def listed(names: Sequence[str], most: int = 5, separator: str = ', ') -> str:
    """Write the first few names, and how many more there are."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return separator.join(names[:most]) + more
