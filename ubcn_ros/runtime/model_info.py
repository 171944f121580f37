# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a model file says of itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ubcn_ros.network import UBCNConfig
from ubcn_ros.network.step import DERAIN_TRAINED, derain_side
from ubcn_ros.runtime.processing import LARGEST

PARTS = ('derain', 'segmentation', 'attention')
"""Parts of a network, which the stages of training train one by one."""
TEMPERATURES = (0.01, 100)
"""Lowest and highest temperature of the confidence that make sense."""

_PART_STAGES = {'derain': 'derain', 'segmentation': 'adapt', 'attention': 'attend'}


class ModelFileError(ValueError):
    """A model file is missing, damaged or of another architecture; the text says what to do."""


class NetworkError(ModelFileError):
    """The network that a model file describes cannot be built here, as without its module."""


@dataclass(frozen=True)
class ModelInfo:
    """
    What a model file says of itself.

    ``sha256`` is of the whole file; ``metadata`` is what ``save_model`` was given: of training the
    keys of ``training.record.model_record``, of ``ubcn model calibrate`` `temperature` and
    `calibration`. None of them has to be there.
    """

    name: str
    path: Path
    sha256: str
    config: UBCNConfig
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def trained(self) -> tuple[str, ...]:
        """
        Return which of PARTS were trained: those that the metadata's key ``trained`` lists.

        A file without the key has them all: training writes it always, and who makes a file of
        weights from elsewhere with ``save_model`` vouches for them.

        :raises ModelFileError: the key holds something else.
        """
        said = self.metadata.get('trained', list(PARTS))
        if not isinstance(said, list) or not all(part in PARTS for part in said):
            raise ModelFileError(f'{self.path} says that {said!r} is trained: expected a list '
                                 f'of {", ".join(PARTS)}; train or export it again')
        return tuple(part for part in PARTS if part in said)

    @property
    def estimates_rain(self) -> bool:
        """
        Return whether its rain head was trained, as the metadata's key ``estimates_rain`` says.

        In a file without the key, as older trainings wrote it, the head counts as trained where
        the part derain does.

        :raises ModelFileError: the key holds something else.
        """
        said = self.metadata.get('estimates_rain', 'derain' in self.trained)
        if type(said) is not bool:
            raise ModelFileError(f'{self.path} says that its estimates_rain is {said!r}: expected '
                                 'true or false; train or export it again')
        return said and self.config.veil is not None

    @property
    def trained_short_side(self) -> int | None:
        """
        Return the short side, in pixels, of the images that it was trained on; None: not said.

        :raises ModelFileError: the key holds something else.
        """
        return self._pixels('trained_short_side')

    @property
    def trained_derain_side(self) -> int:
        """
        Return the largest short side, in pixels, of the images that IDM was trained on.

        A file without the key has that of the shipped weights, which have none.

        :raises ModelFileError: the key holds something else.
        """
        return self._pixels('trained_derain_side') or DERAIN_TRAINED

    @property
    def derain_side(self) -> int:
        """Return the ``UBCN.derain_side`` that follows from the former."""
        return derain_side(self.trained_derain_side)

    def _pixels(self, key: str) -> int | None:
        side = self.metadata.get(key)
        if side is not None and (type(side) is not int or not 0 < side <= LARGEST):
            raise ModelFileError(f'{self.path} says that its {key} is {side!r}: expected 1 to '
                                 f'{LARGEST} pixels; train or export it again')
        return side

    @property
    def trained_focal_length(self) -> float | None:
        """
        Return the focal length of the training's camera, in short sides; None: not said.

        :raises ModelFileError: the key holds something else.
        """
        length = self.metadata.get('trained_focal_length')
        if length is not None and (type(length) not in (int, float)
                                   or not 0 < length <= sys.float_info.max):
            raise ModelFileError(f'{self.path} says that its trained_focal_length is {length!r}: '
                                 "expected a share of the image's short side; train or export it "
                                 'again')
        return length

    @property
    def temperature(self) -> float:
        """
        Return what logits are divided by for a calibrated confidence; 1: not said.

        :raises ModelFileError: the key holds something else.
        """
        temperature, (low, high) = self.metadata.get('temperature', 1.0), TEMPERATURES
        if type(temperature) not in (int, float) or not low <= temperature <= high:
            raise ModelFileError(f'{self.path} says that its temperature is {temperature!r}: '
                                 f'expected {low} to {high}; calibrate or train it again')
        return temperature

    def untrained_text(self, needs: Sequence[str] = PARTS) -> str:
        """Say which of the needed parts were never trained, in one line; '' where all were."""
        trained = self.trained
        missing = [part for part in needs if part not in trained]
        if not missing:
            return ''
        stage = self.metadata.get('stage')
        stages = ' and '.join(_PART_STAGES[part] for part in missing)
        return (f'{self.path} holds random numbers for {" and ".join(missing)}, '
                f'{"never trained" if stage is None else f"which its stage {stage} did not train"}'
                f': train {stages}, too (ubcn train)')

    def require_trained(self, needs: Sequence[str]) -> None:
        """Raise ModelFileError unless the needed parts were trained."""
        if text := self.untrained_text(needs):
            raise ModelFileError(f'{text}, or allow it with allow_partial_model (node) or '
                                 '--allow-partial-model (ubcn)')
