# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers of soft streaks of one look, which continue at the opposite edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_THINNEST_PX = 0.8
_LENGTHS = (0.6, 1.0, 1.6)  # of the streaks of one layer, over the look's


@dataclass(frozen=True)
class StreakLook:
    """
    What the streaks of one layer look like; lengths are shares of the frame's short side.

    :param length, width: of a streak; one thinner than a pixel is drawn as a fainter pixel.
    :param softness: of its sides, 0 (nearly a box) to 1 (a bell).
    :param cover: share of the layer that lies under streaks.
    :param gain: optical thickness of the brightest ones.
    """

    length: float
    width: float
    softness: float
    cover: float
    gain: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> StreakLook:
        """
        Draw a look: from specks to strokes across the picture, from hairlines to curtains.

        The wider streaks are, the fainter and the longer: they are nearer, or many in one.
        """
        def between(least: float, most: float) -> float:
            return float(np.exp(rng.uniform(np.log(least), np.log(most))))
        width = between(0.0008, 0.02)
        faint = min(1.0, (0.003 / width) ** 0.6)
        return cls(between(max(0.012, 4 * width), min(0.7, 250 * width)), width,
                   float(rng.random()), between(0.02, 0.4), float(rng.uniform(0.3, 1.0)) * faint)


def soft_streaks(height: int, width: int, look: StreakLook, rng: np.random.Generator,
                 side: float, angle: float = 0.0) -> np.ndarray:
    """
    Draw a layer of streaks.

    :param look: of the streaks.
    :param rng: generator that their places and strengths are drawn from.
    :param side: short side of the frame, pixels, of which the layer may be a part.
    :param angle: of all streaks, degrees from the vertical.
    :return: optical thickness, (height, width) float32, 0 or more.
    """
    length, thin = look.length * side, look.width * side
    across = max(thin, _THINNEST_PX)
    count = look.cover * height * width / ((length + across) * across * len(_LENGTHS))
    spectrum = 0
    for factor in _LENGTHS:
        specks = np.zeros(height * width, np.float32)
        n = int(rng.poisson(count / factor))
        np.add.at(specks, rng.integers(0, height * width, n),
                  rng.uniform(0.2, 1.0, n).astype(np.float32))
        kernel = _streak(height, width, factor * length, across, look.softness, angle)
        spectrum = spectrum + np.fft.rfft2(specks.reshape(height, width)) * np.fft.rfft2(kernel)
    layer = np.fft.irfft2(spectrum, (height, width)).astype(np.float32)
    return np.maximum(layer, 0) * np.float32(look.gain * min(1.0, thin / across))


def _streak(height: int, width: int, length: float, thickness: float, softness: float,
            angle: float) -> np.ndarray:
    """One streak around the first pixel, beyond the edges on the opposite side; peak 1."""
    # a streak longer than the picture would lie over itself
    length = min(length, 0.9 * np.hypot(height, width))
    y = (np.fft.fftfreq(height) * height).astype(np.float32)[:, None]
    x = (np.fft.fftfreq(width) * width).astype(np.float32)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    across, along = np.abs(x * c - y * s), np.abs(x * s + y * c)
    edge = np.float32(max(0.25, 0.5 * softness * thickness))
    profile = 1 / (1 + np.exp(np.minimum((across - thickness / 2) / edge, 50)))
    ends = 1 / (1 + np.exp(np.minimum((along - length / 2) / max(0.5, length / 10), 50)))
    streak = profile * ends
    return streak / streak.max()
