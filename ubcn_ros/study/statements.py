# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the figures of a study say of a claim: the same on the terminal and in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ubcn_ros.report.charts import figure

ASCII = str.maketrans({'−': '-', '–': '-', '∞': 'inf', '±': '+-', '×': 'x', '↓': 'down,',
                       '→': 'across'})
"""For ``str.translate``: what every terminal can show."""


@dataclass(frozen=True)
class Statement:
    """
    A claim, and what our figures say of it.

    :param text: of the claim, a sentence.
    :param holds: whether it does; None where the figures do not suffice.
    :param found: by how much, computed from the figures.
    :param target: whether it is a target of this project, and not a claim of the paper.
    :param details: where it does not hold, a line each.
    """

    text: str
    holds: bool | None
    found: str
    target: bool = False
    details: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One of 'agree', 'differ' and, where the figures do not suffice, 'open'."""
        return {True: 'agree', False: 'differ', None: 'open'}[self.holds]

    @property
    def word(self) -> str:
        """The verdict in a word for people."""
        if self.holds is None:
            return 'not known'
        return (('missed', 'reached') if self.target else ('differs', 'agrees'))[self.holds]


def statements_text(statements: Iterable[Statement]) -> str:
    """Lay out statements for the terminal: the verdict before each, below it what was found."""
    return '\n'.join(f'{head:11}{line}' for each in statements for head, line in (
        (each.word, each.text), *(('', line) for line in (each.found, *each.details)))
    ).translate(ASCII)


def residue_statement(where: str, psnr: Mapping[str, float | None],
                      miou: Mapping[str, float | None], missing: Sequence[str]) -> Statement:
    """
    State whether UBCN's lead over the best of the others grows with the rain.

    :param where: on which images or trainings, in words.
    :param psnr, miou: the lead in dB and points by rain rate, None where not known; PSNR decides.
    :param missing: baselines without figures, which can only lessen a lead: until they are there
        nothing but a lead of 0 or below in heavy rain decides.
    """
    text = ('Others do well in light rain and leave residue in heavy rain, where UBCN is ahead of '
            f'them by more ({where})')
    parts = []
    for rate in sorted({*psnr, *miou}, key=float):
        known = [f'{figure(lead[rate], digits, True)} {unit}' for lead, digits, unit in (
            (psnr, 2, 'dB'), (miou, 1, 'points of mIoU')) if lead.get(rate) is not None]
        if known:
            parts.append(f'{listing(known)} at {rate} mm/hr')
    found = [f'ahead of the best of them by {listing(parts)}'] if parts else []
    leads, holds = [psnr[rate] for rate in sorted(psnr, key=float)], None
    if len(leads) < 2 or leads[0] is None or leads[-1] is None:
        found.append('needs two rain rates, UBCN and a baseline')
    elif not missing or leads[-1] <= 0:
        holds = leads[-1] > max(0.0, leads[0])
    if missing:
        found.append(f'without {listing(missing)}')
    return Statement(text, holds, '; '.join(found))


def amount(value: float, digits: int = 1) -> str:
    """Write by how much something differs as ``figure`` does; only 0 itself reads 0."""
    small = value and not round(value, digits)
    return f'{value:.1g}'.replace('-', '−') if small else figure(value, digits)


def all_gain(gains: Iterable[float | None]) -> bool | None:
    """
    Tell whether something gains in every figure.

    :param gains: None where one is not known.
    :return: False where one is 0 or below; None where none is and one is missing, or all are.
    """
    gains = list(gains)
    if any(gain is not None and gain <= 0 for gain in gains):
        return False
    return True if gains and None not in gains else None


def listing(words: Sequence[str]) -> str:
    """Join words as a sentence does: 'a, b and c'."""
    return ' and '.join(filter(None, (', '.join(words[:-1]), *words[-1:])))
