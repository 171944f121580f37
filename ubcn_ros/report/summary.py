# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a report of bags says at its top and at its end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ubcn_ros import __version__
from ubcn_ros.evaluation.metrics import common_means
from ubcn_ros.report.charts import number
from ubcn_ros.report.measures import MASKS
from ubcn_ros.report.page import Report, ReportFrame, Tile
from ubcn_ros.report.recording import OpenBag
from ubcn_ros.report.steps import Steps
from ubcn_ros.report.tracks import BagPaths, Tracks
from ubcn_ros.text_table import counted, listed

_SHOWN = 3  # malformed frames that are named
_MODEL = {'name': 'model', 'sha256': 'sha256 of the model'}
_SIDECAR = {'iterations': 'T', 'device': 'device', 'precision': 'precision', 'backend': 'backend'}


def tiles(report: Report, tracks: Tracks) -> list[Tile]:
    """Return the figures that sum the frames up, means over them."""
    pair = tracks.second is not None
    there = {m.key for m in report.measures}
    seconds = max((f.seconds for f in report.frames), default=0.0)

    def means_of(key: str, unit: str) -> tuple[str | None, str]:
        texts, note = _means(report.frames, (key, key + '_b') if pair else (key,))
        return ' | '.join(texts) + f' {unit}' if texts else None, note

    both = 'A | B, ' if pair else ''
    found = [
        Tile('Frames', str(len(report.frames)),
             f'of {counted(len({f.topic for f in report.frames}), "camera")}, '
             f'{seconds:.1f} s of the drive'),
        _quality_tile(report, tracks, there)]
    if found[-1].value is None and 'change' in there:
        value, note = means_of('change', 'of 255')
        found.append(Tile('Change', value, f'{both}from input to derained image{note}'))
    if pair:
        equal = ''.join(_means(report.frames, ('labels_equal',))[0])
        found.append(Tile('Labels equal', f'{equal} %' if equal else None,
                          'of the pixels, in A and B'))
    dry, note = means_of('labels_dry', '%')
    if not pair or dry:
        found.append(Tile('Labels as dry', dry, f'{both}as in the drive without rain{note}'
                          if dry else 'no labels of the drive without rain'))
    sure, note = means_of('confidence', '%')
    found.append(Tile('Confidence', sure, f'{both}mean over the pixels{note}' if sure
                      else 'not recorded'))
    delay, note = means_of('latency_ms', 'ms')
    return [*found, Tile('Latency', delay, f'{both}arrival to last output{note}') if delay
            else _engine_tile(both, tracks)]


def _quality_tile(report: Report, tracks: Tracks, there: Collection[str]) -> Tile:
    """Show the PSNR before and after; why there is none, where there is none."""
    pair = tracks.second is not None
    after = ('psnr', 'psnr_b') if pair else ('psnr',)
    before = ('psnr_input',) if 'psnr_input' in there else ()
    texts, note = _means(report.frames, before + after)
    if there & {*after} and not texts:
        return Tile('PSNR', None, 'no frame has finite ones of all, which could be compared')
    if not there & {*after}:
        return Tile('PSNR', None, 'no derained images were recorded' if 'truth' in tracks.names
                    else 'the drive without rain has no images'
                    if 'truth_labels' in tracks.names else 'no drive without rain was given')
    value = ' → '.join([*texts[:len(before)], ' | '.join(texts[len(before):])])
    return Tile('PSNR', f'{value} dB', f'input → {"A | B" if pair else "derained"}, against the '
                f'drive without rain{note}')


def _means(frames: Sequence[ReportFrame], keys: Sequence[str]) -> tuple[list[str], str]:
    """
    Write means of figures that stand side by side, as of ``common_means``.

    :return: texts by key, '–' for what no frame has, none where no frame has what others have;
        and over how many frames they are, where some are left out.
    """
    means, count = common_means([{key: f.values[key] for key in keys if key in f.values}
                                 for f in frames])
    if not means or not count:
        return [], ''
    return [number(means.get(key), True) for key in keys], \
        f'; over {count} of {len(frames)} frames' if count < len(frames) else ''


def _engine_tile(both: str, tracks: Tracks) -> Tile:
    """Show what the engine took for a frame, where all bags say it."""
    bags = list(filter(None, (tracks.first, tracks.second)))
    times = [bag.sidecar.get('timings', {}).get('engine_ms', {}).get('total') for bag in bags]
    if None in times:
        return Tile('Latency', None, 'not recorded')
    devices = dict.fromkeys(f'{bag.sidecar["device"]}, {bag.sidecar["precision"]}' for bag in bags)
    return Tile('Engine', ' | '.join(number(ms, True) for ms in times) + ' ms',
                f'{both}mean of a frame on {" | ".join(devices)}')


def subtitle(report: Report, tracks: Tracks) -> str:
    """Say in a line what is shown."""
    first, second = tracks.first, tracks.second
    topics = listed(list(dict.fromkeys(frame.topic for frame in report.frames)), 3)
    if second is None:
        return '; '.join(filter(None, (topics, _how(first))))
    return f'{topics}; ' + '; '.join(
        f'{name}: {bag.path}' + (f' ({how})' if (how := _how(bag)) else '')
        for name, bag in (('A', first), ('B', second)))


def facts(inputs: BagPaths, tracks: Tracks, steps: Steps | None) -> list[tuple[str, str]]:
    """Say how what is shown came about, in names and values; 'A | B' where these differ."""
    second = tracks.second
    a, b = _facts_of(tracks.first), {} if second is None else _facts_of(second)
    found = [(name, value if second is None or value == b.get(name)
              else f'{value} | {b.get(name, "not said")}')
             for name, value in {**dict.fromkeys(b, 'not said'), **a}.items()]
    found += [(name, str(path)) for name, path in (('input', inputs.input),
                                                   ('without rain', inputs.truth)) if path]
    if steps is not None:
        found.append(('steps computed with', f'{steps.engine.info.name}, sha256 '
                      f'{steps.engine.info.sha256}, {steps.engine.precision} on '
                      f'{steps.engine.device}'))
    return [*found, ('ubcn_ros', __version__)]


def _facts_of(bag: OpenBag) -> dict[str, str]:
    """Say what a bag tells of its processing."""
    said = bag.sidecar
    model = said.get('model', {})
    found = {'bag': str(bag.path),
             **{name: str(model[key]) for key, name in _MODEL.items() if model.get(key)},
             **{name: str(said[key]) for key, name in _SIDECAR.items() if said.get(key)}}
    sizes = dict.fromkeys(size for camera in said.get('cameras', [])
                          for size in camera.get('processing_sizes', []))
    if sizes:
        found['labelled at'] = ', '.join(sizes)
    if rate := said.get('timings', {}).get('frames_per_s'):
        found['processed at'] = f'{number(rate)} frames per second'
    return found


def missing(tracks: Tracks, steps: Steps | None) -> Iterator[str]:
    """Say which figures there are none of, and what would give them."""
    names, pair = tracks.names, tracks.second is not None
    ends = [('', ' of A' if pair else '')] + [('_b', ' of B')] * pair
    if 'input' not in names:
        yield ('Change, and pictures before: the input images are not in the bag; --input BAG '
               'gives the bag they are in')
    if 'truth' not in names and 'truth_labels' in names:
        yield ('PSNR: the bag of the drive without rain has labels, but no images to compare '
               'with; --truth BAG with them, as without --outputs-only')
    elif 'truth' not in names:
        yield ('PSNR: there is no drive without rain to compare with; --truth BAG gives one, as '
               'for rain that `ubcn rain` rendered')
    if 'truth_labels' not in names:
        yield ('Whether labels are right: nobody has labelled this drive. With --truth BAG of '
               'the processed drive without rain they are compared with the labels there')
    else:
        yield ('Whether labels are right: nobody has labelled this drive. "Labels as dry" says '
               'what rain changes, not what is true')
    for end, of in ends:
        if 'labels' + end not in names and names & {*MASKS}:
            yield f'Labels{of}: not {"compared" if end else "recorded"}'
        if 'confidence' + end not in names:
            yield f'Confidence{of}: the bag has no labels/confidence'
        if 'debug' + end not in names:
            yield (f'Latency of single frames{of}: the bag has no debug/frame, which a recording '
                   'of the running node has')
    if steps is None:
        yield 'Steps T = 1, 2, ...: --model MODEL computes them again on the worst frames'
    elif (made := tracks.first.sidecar.get('model', {}).get('sha256')) and \
            made != steps.engine.info.sha256:
        yield (f'Steps of the model that made the bag: those shown are of '
               f'{steps.engine.info.name}, another one')


def left_out(tracks: Tracks) -> Iterator[str]:
    """Say which frames and topics there are no figures of."""
    for bag in tracks.bags:
        yield from bag.lacking[:len(bag.lacking) - len(bag.unread)]
        for skipped in bag.sidecar.get('skipped', []):
            yield f'{skipped["topic"]} was not processed: {skipped["reason"]}'
        yield from _first([*bag.sidecar.get('malformed', []), *bag.sidecar.get('problems', []),
                           *bag.unread], str(bag.path))
    yield from tracks.apart
    for track in tracks.tracks:
        yield from (f'{counted(count, "frame")} of {track.name} {what}' for count, what in (
            (track.only_a, 'in A alone'), (track.only_b, 'in B alone'),
            (track.incomplete, 'without all outputs')) if count)
        if track.dropped:
            yield (f'no result of {counted(track.dropped, "image")} of {track.name}: the running '
                   'node drops what comes too fast, `ubcn bag process` what its options leave out')
        yield from _first(track.malformed, track.name)


def _first(lines: Sequence[str], where: str) -> Iterator[str]:
    """Say the first of what was wrong, and how many more there are."""
    lines = list(dict.fromkeys(lines))
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f'{len(lines) - _SHOWN} more messages like these of {where}'


def _how(bag: OpenBag) -> str:
    """Say model and T of a bag, where it says them."""
    model, steps = bag.sidecar.get('model', {}).get('name'), bag.sidecar.get('iterations')
    return ', '.join(filter(None, (model, f'T = {steps}' if steps else '')))
