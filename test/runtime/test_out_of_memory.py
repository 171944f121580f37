# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A GPU without room for a frame: an error that the node knows, and the next frame as usual."""

import numpy as np
import pytest
import torch

from ubcn_ros.node.recovery import infer, out_of_memory
from ubcn_ros.runtime import Engine


@pytest.mark.gpu
@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_a_frame_without_room_is_dropped_and_the_next_one_done(backend):
    engine = Engine.load(device='cuda', backend=backend)
    small, large = (np.full((*size, 3), 90, np.uint8) for size in ((360, 640), (4320, 7680)))
    options = {'iterations': 3, 'deadline': None, 'confidence': False, 'processing_size': 0,
               'min_confidence': 0.0}
    before = engine(small, iterations=3, processing_size=0)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2**30 / total))
    try:
        (outcome,) = infer(engine, [large], *options.values())
        assert outcome.error is not None and out_of_memory(outcome.error)
        del outcome
        (outcome,) = infer(engine, [small], *options.values())
        assert outcome.error is None
        assert np.array_equal(outcome.frame.derained, before.derained)
        assert np.array_equal(outcome.frame.labels, before.labels)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
