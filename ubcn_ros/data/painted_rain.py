# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Painted rain, as photo editors draw it: a second kind, so that training sees more than one."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from ubcn_ros.data.image_checks import check_image
from ubcn_ros.data.log_uniform import log_uniform

HAZE_PROBABILITY = 0.4
"""Of a soft haze behind the streaks."""


def random_severity(rng: np.random.Generator, least: float, most: float) -> float:
    """Draw a severity, as of ``paint_rain``, between two, light rain more often than heavy."""
    return least + (most - least) * float(rng.beta(1.1, 2.0))


def paint_rain(image: np.ndarray, rng: np.random.Generator, severity: float,
               haze_probability: float, noise_probability: float) -> np.ndarray:
    """
    Paint rain over an image.

    One to three layers of motion-blurred specks or noise (angle, length, width, density and
    brightness at random) are added or screened over it, now and then with a soft haze.

    :param image: (H, W, 3) uint8 RGB.
    :param rng: generator that everything is drawn from.
    :param severity: 0 (a few faint streaks, or noise) to 1 (nearly nothing but rain).
    :param haze_probability: of a soft haze behind the streaks, 0..1.
    :param noise_probability: of streaks of noise instead of specks, 0..1; they are so dense that
        most of them brighten the image as a whole.
    :return: (H, W, 3) uint8 RGB.
    :raises ValueError: a severity out of range, or an image of another type.
    """
    check_image(image)
    if not 0 <= severity <= 1:
        raise ValueError(f'severity is {severity}, must be 0..1')
    height, width = image.shape[:2]
    scene = image.astype(np.float32) / 255
    if rng.random() < haze_probability:
        scene = _haze(scene, rng, 0.5 * severity * float(rng.random()))
    screen = rng.random() < 0.5
    for layer in painted_layers(height, width, rng, severity, noise_probability):
        tint = 1 - 0.1 * rng.random(3).astype(np.float32)
        layer = layer[..., None] * tint
        scene = 1 - (1 - scene) * (1 - np.minimum(layer, 1)) if screen else scene + layer
    return np.clip(scene * 255 + 0.5, 0, 255).astype(np.uint8)


def painted_layers(height: int, width: int, rng: np.random.Generator, severity: float,
                   noise_probability: float) -> Iterator[np.ndarray]:
    """
    Draw the one to three layers of streaks of one picture, of about one angle.

    :param rng: generator that everything is drawn from.
    :param severity, noise_probability: as of ``paint_rain``.
    :return: each (H, W) float32, 0 or more: what it adds to an image on 0..1.
    """
    layers = 1 + int(rng.random() < severity) + int(rng.random() < 0.6 * severity)
    angle = float(rng.normal(0, 20)) if rng.random() < 0.9 else float(rng.uniform(-80, 80))
    # nothing is drawn for a probability of 0: the rain of validation stays what it is
    draw = _noise if noise_probability and rng.random() < noise_probability else _specks
    for _ in range(layers):
        yield draw(height, width, rng, angle + float(rng.normal(0, 6)), severity)


def _specks(height: int, width: int, rng: np.random.Generator, angle: float, severity: float
            ) -> np.ndarray:
    """Streaks of one length and width, (H, W) float32 >= 0."""
    length = log_uniform(rng, 8, 60)
    thickness = log_uniform(rng, 0.8, 2.6)
    # Share of the image under streaks decides how many specks there are.
    share = (0.02 + 0.5 * severity ** 1.5) * float(rng.uniform(0.4, 1.2))
    count = rng.poisson(share * height * width / (length * thickness))
    specks = np.zeros(height * width, np.float32)
    np.add.at(specks, rng.integers(0, height * width, count),
              rng.uniform(0.3, 1.0, count).astype(np.float32))
    kernel = _line(length, thickness, angle)
    streaks = cv2.filter2D(specks.reshape(height, width), -1, kernel,
                           borderType=cv2.BORDER_REFLECT)
    return streaks * float(rng.uniform(0.2, 0.55) + 0.25 * severity)


def _noise(height: int, width: int, rng: np.random.Generator, angle: float, severity: float
           ) -> np.ndarray:
    """Noise blurred along a line, its levels stretched, (H, W) float32 >= 0."""
    kernel = _line(log_uniform(rng, 10, 120), log_uniform(rng, 0.6, 5), angle)
    noise = cv2.filter2D(rng.standard_normal((height, width), np.float32), -1, kernel,
                         borderType=cv2.BORDER_REFLECT) / np.linalg.norm(kernel)
    black = float(rng.uniform(-3.5, 1))
    white = black + float(rng.uniform(1.5, 6))
    opacity = (0.08 + 0.6 * severity) * float(rng.uniform(0.5, 1.4))
    return opacity * np.clip((noise - black) / (white - black), 0, 1)


def _line(length: float, thickness: float, angle: float) -> np.ndarray:
    """Soft line through the kernel's centre, peak 1; angle in degrees from the vertical."""
    radius = int(np.ceil(length / 2 + thickness + 1))
    y, x = np.mgrid[-radius:radius + 1, -radius:radius + 1].astype(np.float32)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    across, along = x * c - y * s, x * s + y * c
    sigma = thickness / 2
    ends = 1 / (1 + np.exp((np.abs(along) - length / 2) / max(1.0, length / 12)))
    return (np.exp(-across ** 2 / (2 * sigma ** 2)) * ends).astype(np.float32)


def _haze(scene: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Blend towards a grey by an amount that changes slowly over the image."""
    height, width = scene.shape[:2]
    coarse = rng.random((3, 4)).astype(np.float32) * 0.6 + 0.7
    veil = amount * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grey = float(rng.uniform(0.6, 0.95))
    return scene + np.clip(veil, 0, 0.9)[..., None] * (grey - scene)
