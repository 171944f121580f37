# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An average of the weights over the last optimizer steps, which varies less than they do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from ubcn_ros.stopping import signals_held


class MovingAverage:
    """
    Exponential moving average of a network's weights and normalisation statistics.

    :param network: on its device, where it stays; the average begins with what it is.
    :param decay: weight of the average against the network's values, 0..1, at most
        (1 + step) / (10 + step), so that the first steps do not stay in it for long.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        # the network's own tensors; counts are not values to average
        self._network = {name: value for name, value in network.state_dict().items()
                         if value.is_floating_point()}
        self._values = {name: value.clone() for name, value in self._network.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """
        Take the network's values in.

        :param step: optimizer steps so far.
        """
        torch._foreach_lerp_([*self._values.values()], [*self._network.values()],
                             1 - min(self.decay, (1 + step) / (10 + step)))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the average; afterwards it has its own values, bit for bit."""
        own = {name: value.clone() for name, value in self._network.items()}
        try:  # a signal may stop the exchange halfway, and a checkpoint is written then
            self._write(self._values)
            yield
        finally:
            try:
                with signals_held():
                    self._write(own)
            except BaseException:  # a signal that came before it was held
                self._write(own)
                raise

    @torch.no_grad()
    def _write(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in self._network.items():
            value.copy_(values[name])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the average by the names of the network's state."""
        return dict(self._values)

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """
        Take an average over from ``state_dict``.

        :raises KeyError: a name is missing.
        """
        for name, value in self._values.items():
            value.copy_(state[name])
