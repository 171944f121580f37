# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drops on the lens or on the pane before it: blurred discs that refract the scene."""

from __future__ import annotations

import numpy as np


def drops_on_lens(height: int, width: int, rng: np.random.Generator, side: float
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Draw drops, from one large to many small ones.

    A drop is a short lens: it shows much of the scene, small and upside down. A third of them are
    films of water that blur alone.

    :param side: short side of the frame, pixels, of which height and width may be a part.
    :return: how much of a pixel a drop hides, (H, W) float32 on 0..1; where what is seen instead
        lies, (H, W, 2) float32 pixels to the right and down; and its light over the scene's,
        (H, W) float32.
    """
    alpha = np.zeros((height, width), np.float32)
    shift = np.zeros((height, width, 2), np.float32)
    shade = np.ones((height, width), np.float32)
    typical = side * float(np.exp(rng.uniform(np.log(0.008), np.log(0.05))))
    share = float(np.exp(rng.uniform(np.log(0.01), np.log(0.25))))
    count = 1 + int(rng.poisson(min(200, share * height * width / (4 * typical ** 2))))
    blur = rng.uniform(0.05, 0.5)  # one focus for all
    for _ in range(count):
        radius = typical * float(np.exp(0.4 * rng.standard_normal()))
        x, y = rng.random() * width, rng.random() * height
        zoom = 0.0 if rng.random() < 0.33 else -1 - float(rng.uniform(2, 6))
        tall, wobble = float(np.exp(0.2 * rng.standard_normal())), rng.standard_normal(2) * 0.06
        turn, light = rng.random() * 2 * np.pi, float(rng.uniform(-0.25, 0.35))
        reach = int(np.ceil(1.6 * radius * max(tall, 1 / tall))) + 2
        top, left = max(0, int(y) - reach), max(0, int(x) - reach)
        rows, cols = slice(top, min(height, int(y) + reach)), slice(left, int(x) + reach)
        v = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - y)[:, None]
        u = (np.arange(left, min(width, cols.stop), dtype=np.float32) + 0.5 - x)[None]
        angle = np.arctan2(v, u) + turn
        outline = 1 + wobble[0] * np.cos(2 * angle) + wobble[1] * np.cos(3 * angle)
        place = np.hypot(u * tall, v / tall) / (radius * outline)
        disc = 1 / (1 + np.exp(np.clip((place - 1) * 4 / blur, -50, 50)))
        nearer = disc > alpha[rows, cols]
        alpha[rows, cols] = np.maximum(alpha[rows, cols], disc)
        both = np.stack(np.broadcast_arrays(u * zoom, v * zoom), -1)
        shift[rows, cols] = np.where(nearer[..., None], both, shift[rows, cols])
        shade[rows, cols] = np.where(nearer, 1 + light * np.clip(v / radius, -1, 1),
                                     shade[rows, cols])
    return alpha * np.float32(rng.uniform(0.6, 1.0)), shift, shade
