# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times of the engine as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ubcn_ros.images.plots import REST, stacked_bars
from ubcn_ros.text_table import table


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Show rows as a table: the whole, then the stages' medians, milliseconds."""
    from ubcn_ros.benchmark.known_labels import notes_on_masks
    stages = list(dict.fromkeys(stage for row in rows for stage in row['stages_ms']))
    shares = any('roofline_share' in row for row in rows)
    header = ['', 'size', 'processed at', 'T', 'precision', 'p50 ms', 'p95 ms', 'images/s',
              'peak MiB', *stages, *(['share of roofline'] if shares else []), 'times']
    lines = []
    for row in rows:
        share = row.get('roofline_share')
        lines.append([
            row.get('optimisation', row['name']), f'{row["width"]}x{row["height"]}',
            row.get('processed', ''),
            str(row['iterations']), f'{row["precision"]} {row["backend"]}',
            f'{row["p50_ms"]:.1f}', f'{row["p95_ms"]:.1f}', f'{row["images_per_s"]:.2f}',
            f'{row["peak_mib"]:.0f}' if 'peak_mib' in row else '',
            *(f'{row["stages_ms"][s]["p50"]:.1f}' if s in row['stages_ms'] else ''
              for s in stages),
            *([' '.join(f'{s} {100 * v:.0f}%' for s, v in (share or {}).items())]
              if shares else []),
            f'{row["speed_up"]:.1f}' if 'speed_up' in row else ''])
    return '\n'.join([table(header, lines), *notes_on_masks(rows)])


def _bar_name(row: dict[str, Any]) -> str:
    processed = f' at {row["processed"]}' if 'processed' in row else ''
    return (f'{row.get("optimisation", row["name"])}\n{row["width"]}x{row["height"]}{processed} '
            f'T={row["iterations"]} {row["precision"]} {row["backend"]}')


def draw(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw a bar per row, divided into its stages."""
    stages = dict.fromkeys(stage for row in rows for stage in row['stages_ms'])
    bars = []
    for row in rows:
        times = {stage: row['stages_ms'].get(stage, {'p50': 0})['p50'] for stage in stages}
        bars.append((_bar_name(row), {**times, REST: max(0, row['p50_ms'] - sum(times.values()))}))
    stacked_bars(path, bars, 'milliseconds per image, medians')
