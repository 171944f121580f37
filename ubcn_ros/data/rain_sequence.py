# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rain over a sequence of images: what one frame's rain has to do with the next one's.

>>> rain = RainSequence(150, seed=7)
>>> rainy = [rain(image, number / 30) for number, image in enumerate(images)]
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from math import exp, isfinite, pi, sin

import numpy as np

from ubcn_ros.data.rain import RainRenderer, drive_parameters
from ubcn_ros.data.rain_parameters import MAX_RATE_MM_H, RainParameters

VARIATION = 0.2
"""How far a rain cell raises and lowers the rate, log scale: 0.2 is 82 to 122 %."""

# periods (s) and shares of the waves that the rate of a rain cell is made of
_WAVES = ((67.0, 0.6), (23.0, 0.3), (11.0, 0.1))


class RainSequence:
    """
    Rain in front of one camera while time passes; threads may call it at the same time.

    A frame's rain follows from the seed, its image and its time alone: frames may be left out,
    rendered in any order, or again by another process, and are the same byte for byte. It is
    continuous in time:

    - drops are the same ones from frame to frame; each falls at its own terminal speed, and the
      camera and the wind move past it, so that a drop is seen once or twice before it leaves the
      view or its range of distances, where one like it enters on the other side; streaks differ
      between frames as those of two exposures do, and their statistics do not change;
    - the rate, with it the veil and the number of drops, follows a rain cell that passes: it
      varies by at most ``variation`` about its mean, in waves of 11 to 67 s, by less than 4 % in a
      second at the default; a drop that is there at a rate is there at all higher ones;
    - the airlight is that of each image (its brightest twentieth), and changes as slowly as it.

    :param rate_mm_h: mean rain rate, 0..300 mm/hr; or two, of time 0 and of ``duration_s``, with
        a ramp between.
    :param seed: of drops, rain cell, noise and, where none are given, the parameters; 0 or more.
    :param duration_s: of a ramp; the second rate stays after it.
    :param parameters: what the rain looks like, but for its rate; None draws those of a drive, as
        for ``add_rain``: with a variation of 0, its frame is that of time 0.
    :param variation: of the rain cell, log scale, 0..1.
    :param camera: a name; cameras of one vehicle have one rain cell, but drops of their own.
    :raises ValueError: a value out of range.
    """

    def __init__(self, rate_mm_h: float | tuple[float, float], seed: int,
                 duration_s: float | None = None, parameters: RainParameters | None = None,
                 variation: float = VARIATION, camera: str = ''):
        first, last = rate_mm_h if isinstance(rate_mm_h, tuple) else (rate_mm_h, rate_mm_h)
        if first != last and not (duration_s is not None and duration_s > 0):
            raise ValueError(f'duration_s is {duration_s}: a ramp from {first:g} to {last:g} '
                             'mm/hr needs one above 0')
        if not 0 <= variation <= 1:
            raise ValueError(f'variation is {variation}: use 0..1')
        if seed < 0:
            raise ValueError(f'seed is {seed}: use 0 or more')
        if parameters is None:
            parameters = drive_parameters(seed, max(first, last))
        replace(parameters, rate_mm_h=min(first, last))  # checks it, too
        self._ends, self._duration_s, self._variation = (first, last), duration_s, variation
        highest = min(max(first, last) * exp(variation), MAX_RATE_MM_H)
        self.parameters = replace(parameters, rate_mm_h=highest)
        self._phases = np.random.default_rng([seed, 4]).uniform(0, 2 * pi, len(_WAVES))
        self._seed = seed if not camera else int(np.random.SeedSequence(
            [seed, zlib.crc32(camera.encode())]).generate_state(1)[0])
        self._renderer: RainRenderer | None = None

    def rate(self, time_s: float) -> float:
        """Return the rain rate at a time (seconds, may be negative), mm/hr."""
        if not isfinite(time_s):
            raise ValueError(f'time_s is {time_s}: use seconds')
        first, last = self._ends
        share = min(max(time_s / self._duration_s, 0), 1) if self._duration_s else 0
        mean = first + (last - first) * share
        wave = sum(weight * sin(2 * pi * time_s / period + phase)
                   for (period, weight), phase in zip(_WAVES, self._phases, strict=True))
        return min(mean * exp(self._variation * wave), self.parameters.rate_mm_h)

    def __call__(self, image: np.ndarray, time_s: float, depth: np.ndarray | None = None
                 ) -> np.ndarray:
        """
        Render the rain on the image of a time.

        :param image: (H, W, 3) uint8 RGB; images of another size are another view of the rain.
        :param time_s: when its shutter opened, seconds from the start of the sequence.
        :param depth: (H, W) metres, as for ``RainRenderer``.
        :return: the rainy image, (H, W, 3) uint8 RGB.
        :raises ValueError: an image or depth of another type or size, or a time that is none.
        """
        height, width = image.shape[:2]
        renderer = self._renderer
        if renderer is None or (renderer.height, renderer.width) != (height, width):
            self._renderer = renderer = RainRenderer(self.parameters, height, width, self._seed)
        return renderer(image, depth, time_s, self.rate(time_s))
