# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured of the frames of processed bags, and of their classes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from ubcn_ros.labels import UNLABELED, LabelSet
from ubcn_ros.report.page import Measure, Table

Pictures = Mapping[str, np.ndarray]
"""Of one frame: (H, W, 3) uint8 RGB of 'input', 'derained' and 'truth', (H, W) uint8 of 'labels',
'confidence' (times 255) and 'truth_labels'; those of the second bag end in '_b'."""

MASKS = ('labels', 'labels_b', 'truth_labels')
"""Those of ``Pictures`` that are of class ids."""

MEASURES = (
    Measure('psnr_gain', 'B over A', 'dB', 'PSNR of B minus PSNR of A, both against the same '
            'frame without rain.', low_is_bad=True),
    Measure('psnr', 'PSNR', 'dB', 'Of the derained image against the same frame without rain.',
            low_is_bad=True),
    Measure('psnr_b', 'PSNR of B', 'dB', 'The same, of B.', low_is_bad=True),
    Measure('psnr_input', 'PSNR before', 'dB', 'Of the input against the same frame without '
            'rain.', low_is_bad=True),
    Measure('labels_equal', 'Labels equal', '%', 'Pixels that A and B label alike, those without '
            'a class in both left out.', low_is_bad=True),
    Measure('labels_dry', 'Labels as dry', '%', 'Pixels labelled as the same frame without rain '
            'is; those of both without a class left out.', low_is_bad=True),
    Measure('labels_dry_b', 'B as dry', '%', 'The same, of B.', low_is_bad=True),
    Measure('confidence', 'Confidence', '%', 'Probability that the network gives its label, mean '
            'over the pixels.', low_is_bad=True),
    Measure('confidence_b', 'Confidence of B', '%', 'The same, of B.', low_is_bad=True),
    Measure('unlabeled', 'Unlabeled', '%', 'Pixels that were left without a class.'),
    Measure('unlabeled_b', 'Unlabeled in B', '%', 'The same, in B.'),
    Measure('apart', 'A to B', 'of 255', 'Mean difference between the derained images of A and '
            'B.'),
    Measure('change', 'Change', 'of 255', 'Mean difference between the input and the derained '
            'image.'),
    Measure('change_b', 'Change by B', 'of 255', 'The same, by B.'),
    Measure('latency_ms', 'Latency', 'ms', 'From the arrival of the image to its last output, as '
            'the node says in debug/frame.'),
    Measure('latency_ms_b', 'Latency of B', 'ms', 'The same, of B.'))
"""In the order in which they are shown; the first that is there says which frames are worst."""

_HONEST = 'There is no ground truth here. '
WORST = {
    'psnr_gain': 'Worst is where B falls most behind A, by their PSNR against the drive without '
              'rain.',
    'psnr': 'Worst is the lowest PSNR against the drive without rain.',
    'labels_equal': f'{_HONEST}Worst is where A and B label most pixels differently: where to '
                    'look first; which of them is wrong is not known.',
    'labels_dry': 'There is no image without rain to compare with. Worst is where the fewest '
                  'pixels are labelled as in the drive without rain.',
    'confidence': f'{_HONEST}Worst is the lowest mean confidence: where the network is least '
                  'sure of its labels, whether or not they are right.',
    'apart': f'{_HONEST}Worst is where the derained images of A and B differ most; which of them '
             'is better is not known.',
    'change': f'{_HONEST}Worst is the largest change from input to derained image: heavy rain, '
              'or a mistake; look first here.',
    'unlabeled': f'{_HONEST}Worst is where most pixels were left without a class.',
    'latency_ms': f'{_HONEST}Worst is the longest latency.'}
"""What worst means, by the measure that the frames are sorted by at first."""


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the PSNR of two uint8 images, dB; infinite for equal ones."""
    error = float(np.mean((image.astype(np.float32) - truth) ** 2))
    return 10 * math.log10(255 ** 2 / error) if error else math.inf


def difference(image: np.ndarray, other: np.ndarray) -> float:
    """Return the mean absolute difference of two uint8 images, 0..255."""
    return float(np.mean(np.abs(image.astype(np.int16) - other)))


def agreement(labels: np.ndarray, other: np.ndarray) -> float:
    """Return the % of pixels labelled alike, those unlabeled in both left out; NaN for none."""
    known = (labels != UNLABELED) | (other != UNLABELED)
    return 100 * float((labels == other)[known].mean()) if known.any() else math.nan


def pair_counts(labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Count the pixels of two (H, W) uint8 masks by both: (256, 256), `labels` by rows."""
    pairs = labels.ravel().astype(np.int64) * 256 + other.ravel()
    return np.bincount(pairs, minlength=256 * 256).reshape(256, 256)


def measured(pictures: Pictures) -> dict[str, float]:
    """Measure a frame: what its pictures allow, by key of `MEASURES`."""
    found: dict[str, float] = {}
    truth, source, dry = (pictures.get(key) for key in ('truth', 'input', 'truth_labels'))
    if truth is not None and source is not None:
        found['psnr_input'] = psnr(source, truth)
    for end in ('', '_b'):
        derained, labels, sure = (pictures.get(key + end)
                                  for key in ('derained', 'labels', 'confidence'))
        if derained is not None and truth is not None:
            found['psnr' + end] = psnr(derained, truth)
        if derained is not None and source is not None:
            found['change' + end] = difference(derained, source)
        if sure is not None:
            found['confidence' + end] = 100 * float(sure.mean()) / 255
        if labels is not None:
            found['unlabeled' + end] = 100 * float((labels == UNLABELED).mean())
        if labels is not None and dry is not None:
            found['labels_dry' + end] = agreement(labels, dry)
    if 'psnr' in found and 'psnr_b' in found:
        found['psnr_gain'] = found['psnr_b'] - found['psnr']
    if {'labels', 'labels_b'} <= pictures.keys():
        found['labels_equal'] = agreement(pictures['labels'], pictures['labels_b'])
    if {'derained', 'derained_b'} <= pictures.keys():
        found['apart'] = difference(pictures['derained'], pictures['derained_b'])
    return {key: value for key, value in found.items() if not math.isnan(value)}


def iou_of(counts: np.ndarray) -> np.ndarray:
    """
    Return the IoU of each class, 0..1; NaN for one that the truth lacks.

    :param counts: as of `pair_counts`, the truth by rows; its unlabeled pixels are left out.
    """
    known = np.delete(counts, UNLABELED, 0)
    both = np.diagonal(known)
    there = known.sum(1)
    union = there + known.sum(0)[:UNLABELED] - both
    return np.divide(both, union, out=np.full(len(both), math.nan), where=there > 0)


class Classes:
    """Shares, confidence and agreement of every class, over all frames added."""

    def __init__(self) -> None:
        self.seen = 1  # classes there are at least: one more than the largest id of any mask
        self._frames = 0
        self._in_frames = np.zeros(256)
        self._sums: dict[str, np.ndarray] = {}  # by class, or of two masks by both

    def add(self, pictures: Pictures) -> None:
        """Add the labels of a frame, and what goes with them."""
        labels, other, dry, sure = (pictures.get(key) for key in (*MASKS, 'confidence'))
        for mask in (labels, other, dry):
            if mask is not None:
                self.seen = max(self.seen, 1 + int(mask[mask != UNLABELED].max(initial=0)))
        if labels is None:
            return
        self._frames += 1
        counts = np.bincount(labels.ravel(), minlength=256)
        self._in_frames += counts > 0
        self._add('a', counts)
        if sure is not None:
            self._add('confidence', np.bincount(labels.ravel(), sure.ravel() / 2.55, 256))
            self._add('confident', counts)
        for name, mask in (('b', other), ('dry', dry)):
            if mask is not None:
                self._add(name, pair_counts(labels, mask))

    def _add(self, name: str, counts: np.ndarray) -> None:
        self._sums[name] = self._sums.get(name, 0) + counts

    def table(self, label_set: LabelSet) -> Table | None:
        """Return the table of classes; None where no labels were added."""
        if not self._frames:
            return None
        sums, pair = self._sums, 'b' in self._sums
        in_b = sums['b'].sum(0) if pair else np.zeros(256)
        columns: list[tuple[str, np.ndarray]] = [
            ('share of pixels, %' if not pair else 'share in A, %', _percent(sums['a'])),
            ('in frames, %', 100 * self._in_frames / self._frames)]
        if pair:
            columns += [('share in B, %', _percent(in_b)),
                        ('IoU of B against A, %', _percent_iou(sums['b']))]
        if 'dry' in sums:
            columns.append(('IoU with the labels of the dry drive, %',
                            _percent_iou(sums['dry'].T)))
        if 'confidence' in sums:
            columns.append((f'mean confidence{" of A" * pair}, %',
                            _ratio(sums['confidence'], sums['confident'])))
        colors = dict(enumerate(label_set.colors))
        names = {**dict(enumerate(label_set.classes)), UNLABELED: 'unlabeled'}
        shown = [i for i in names if i < label_set.num_classes or sums['a'][i] or in_b[i]]
        return Table(
            'Classes', 'Of all pixels of all frames shown.' +
            (' IoU of B against A is over those that A labels; it says how well they agree, not '
             'which of them is right.' if pair else ''),
            tuple(name for name, _ in columns),
            tuple((names[i], colors.get(i, (0, 0, 0)),
                   tuple(_number(values[i]) for _, values in columns)) for i in shown), (0,))


def available(values: Collection[Mapping[str, float]]) -> list[Measure]:
    """Return the measures that any frame has, in their order; 'unlabeled' where it is not 0."""
    return [m for m in MEASURES if any(
        m.key in v and (v[m.key] or not m.key.startswith('unlabeled')) for v in values)]


def _percent_iou(counts: np.ndarray) -> np.ndarray:
    """IoU of each class as of `iou_of`, and none of what is unlabeled."""
    return 100 * np.append(iou_of(counts), math.nan)


def _percent(counts: np.ndarray) -> np.ndarray:
    return 100 * counts / max(1, counts.sum())


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(256, np.nan), where=below > 0)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
