# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a frame of a drive can be seen otherwise than by day from a car that looks ahead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians

import cv2
import numpy as np

from ubcn_ros.data.drive.noise import noise_tile
from ubcn_ros.data.drive.render import Label, PinholeCamera
from ubcn_ros.data.drive.style import Style
from ubcn_ros.data.log_uniform import log_uniform

_WET = (Label.ROAD, Label.SIDEWALK)
_BEAM_M = 18.0  # distance after which a third of the headlights' light is left


@dataclass(frozen=True)
class Conditions:
    """
    Camera, ground and light of a frame.

    :param camera_height: metres above the ground.
    :param focal: fraction of the width.
    :param horizon_at: the horizon's row, fraction of the height.
    :param yaw, roll: radians.
    :param aside: place of the camera, metres to the right of the centre line.
    :param wet: how much the ground mirrors, 0..1.
    :param night: how little light but the headlights there is, 0..1.
    :param wiper: where a wiper is on its way over the pane, 0..1; None without one.
    """

    camera_height: float
    focal: float
    horizon_at: float
    yaw: float
    roll: float
    aside: float
    wet: float = 0.0
    night: float = 0.0
    wiper: float | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator, style: Style) -> Conditions:
        """
        Draw some: from a knee's height to a lorry's, wide to long lenses, half of them looking
        aside, anywhere between the houses; wet or at night now and then.

        :param style: of the drive.
        """
        ahead = rng.random() < 0.5
        return cls(
            log_uniform(rng, 0.5, 3.5), log_uniform(rng, 0.5, 2.2), float(rng.uniform(0.25, 0.65)),
            radians(float(rng.normal(0, 8) if ahead else rng.uniform(-65, 65))),
            radians(float(rng.normal(0, 2.5))), float(rng.uniform(-0.95, 0.95)) * style.edge,
            wet=float(rng.random() * (rng.random() < 0.4)),
            night=float(rng.uniform(0.5, 1.0) * (rng.random() < 0.15)),
            wiper=float(rng.random()) if rng.random() < 0.1 else None)


def mirrored(camera: PinholeCamera) -> PinholeCamera:
    """Return the camera below the ground whose picture upside down is what the ground mirrors."""
    return replace(camera, position=camera.position * (1, -1, 1), pitch=-camera.pitch,
                   roll=-camera.roll)


def wet_ground(image: np.ndarray, labels: np.ndarray, depth: np.ndarray, mirror: np.ndarray,
               camera: PinholeCamera, wet: float) -> np.ndarray:
    """
    Let the ground mirror, the more the flatter one looks at it, and in puddles more.

    :param image: (H, W, 3) uint8 RGB.
    :param labels, depth: (H, W).
    :param mirror: what a flat mirror would show, (H, W, 3) uint8 RGB.
    :param wet: as of ``Conditions``.
    :return: likewise.
    """
    rays = camera.rays()
    x, z = (rays[i] * depth + np.float32(camera.position[i]) for i in (0, 2))
    puddles = cv2.remap(noise_tile(1.45, 5), x * 24, z * 12, cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_WRAP)
    rough = cv2.GaussianBlur(mirror, (0, 0), 0.4 + 0.004 * image.shape[0],
                             sigmaY=0.4 + 0.02 * image.shape[0]).astype(np.float32)
    steep = rays[1].clip(0) / np.linalg.norm(rays, axis=0)
    share = 0.05 + 0.95 * (1 - steep) ** 5  # Schlick's form of Fresnel's law
    share = wet * np.clip(share * (0.6 + 0.5 * puddles), 0, 0.9) * np.isin(labels, _WET)
    dark = 1 - 0.35 * wet * np.isin(labels, _WET)
    ground = image.astype(np.float32) * dark[..., None].astype(np.float32)
    ground += share[..., None].astype(np.float32) * (rough - ground)
    return ground.astype(np.uint8)


def at_night(image: np.ndarray, labels: np.ndarray, depth: np.ndarray, night: float) -> np.ndarray:
    """
    Take the daylight away but for the headlights, which reach straight ahead.

    :param image: (H, W, 3) uint8 RGB; ``labels`` and ``depth`` are (H, W).
    :param night: as of ``Conditions``.
    """
    ambient = (1 - night) * 0.5 + 0.1
    across = np.linspace(-1, 1, image.shape[1], dtype=np.float32)
    beam = np.exp(-depth / _BEAM_M) * np.exp(-(across / 0.6) ** 2)
    gain = ambient + (1 - ambient) * beam
    gain[labels == Label.SKY] = 0.6 * ambient
    warm = np.array([1.05, 1.0, 0.9], np.float32)
    return (image * (gain[..., None] * warm)).clip(0, 255).astype(np.uint8)


def draw_wiper(image: np.ndarray, labels: np.ndarray, depth: np.ndarray, place: float) -> None:
    """
    Draw a wiper, out of focus and without a class, in place.

    :param place: as of ``Conditions``.
    """
    height, width = labels.shape
    foot = np.array([width * (0.3 + 0.4 * (place > 0.5)), 1.05 * height])
    angle = np.pi * (0.25 + 0.5 * place)
    tip = foot + 0.9 * height * np.array([-np.cos(angle), -np.sin(angle)])
    mask = np.zeros((height, width), np.uint8)
    cv2.line(mask, *(tuple(int(v) for v in end) for end in (foot, tip)), 255,
             max(2, height // 40), cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), max(1.0, height / 150))
    image[:] = (image * (1 - 0.9 * (mask / 255.0))[..., None]).astype(np.uint8)
    labels[mask > 60] = Label.UNLABELED
    depth[mask > 60] = 1.0
