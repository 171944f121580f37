# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stages of the loop as modules of plain tensors: what is exported, T stays outside."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ubcn_ros.network import UBCN, Step
from ubcn_ros.network.ubcn import DERAINING


class ExportStage(nn.Module):
    """
    A stage of a network, with a copy of the parts that it computes with and no others.

    torch.export writes all the weights that a module has, computed with or not.

    :ivar parts: names of those of its network.
    :ivar inputs: names of its inputs.
    :ivar outputs: names of what it returns: a tensor, or a tuple where there are several.
    """

    parts: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, network: UBCN) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for part, _ in network.named_children():
            if part not in self.parts:
                setattr(self.network, part, None)
        self.eval()


class Derain(ExportStage):
    """B1 = IDM(O), with a veil O' = veil(O) and B1 = IDM(O'), O' where SAM takes it."""

    parts, inputs, outputs = DERAINING, ('image',), ('derained',)

    def __init__(self, network: UBCN) -> None:
        super().__init__(network)
        self.outputs = ('derained', *(('lifted',) if network.config.lifted else ()),
                        *(('rain',) if network.estimates_rain else ()))

    def forward(self, image: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """
        Derain.

        :param image: O, (N, 3, H, W) fp32 RGB 0..1, as ``derain_at`` passes it.
        :return: B1, (N, 3, H, W) fp32, not clamped; O' likewise, where SAM takes it; where
            the network estimates the rain (N, 2) fp32, the logarithms of ``rain_estimate``.
        """
        derained, rainy, rain = self.network.derain_natively(image)
        found = (derained, rainy if self.network.config.lifted else None, rain)
        outputs = tuple(each.float() for each in found if each is not None)
        return outputs if len(outputs) > 1 else outputs[0]


class Segment(ExportStage):
    """St = FAM(Bt)."""

    parts, inputs, outputs = ('segmentation',), ('derained',), ('logits',)

    def forward(self, derained: torch.Tensor) -> torch.Tensor:
        """
        Segment.

        :param derained: Bt, (N, 3, H, W) fp32, as ``label_view`` returns it.
        :return: (N, classes, h, w) fp32.
        """
        return self.network.segmentation(derained).float()


class Attend(ExportStage):
    """Bt = SAM(O, Bt-1, St-1), or SAM(O', Bt-1, St-1)."""

    parts, outputs = ('attention',), ('derained',)
    inputs = ('image', 'previous', 'previous_logits')

    def __init__(self, network: UBCN) -> None:
        super().__init__(network)
        if network.config.lifted:
            self.inputs = ('lifted', *self.inputs[1:])

    def forward(self, image: torch.Tensor, previous: torch.Tensor, previous_logits: torch.Tensor
                ) -> torch.Tensor:
        """
        Derain again.

        :param image: O as for the first stage, or O' of it.
        :param previous, previous_logits: Bt-1 and St-1.
        :return: as B1 of the first stage.
        """
        return self.network.attend(Step(previous, previous_logits, image)).float()


EXPORT_STAGES: dict[str, type[ExportStage]] = {'derain': Derain, 'segment': Segment,
                                               'attend': Attend}
