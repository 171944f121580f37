# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rain that is rendered ahead is that which is rendered in between."""

import numpy as np
import pytest

from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.validation_rain import PAINTED, RENDERED, rainy_view
from ubcn_ros.evaluation.rainy_scenes import rainy_scenes


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize(('size', 'rain'), [(None, RENDERED), ((40, 32), PAINTED)])
def test_scenes_come_in_order_at_all_rates_and_the_size(camvid_folder, workers, size, rain):
    scenes = open_data([camvid_folder]).split('val')
    found = list(rainy_scenes(scenes, [3, 0], [0.0, 150.0], size, rain, workers))
    assert [scene.index for scene in found] == [3, 0]
    for index, image, ids, (dry, wet) in found:
        assert image.shape[:2] == ids.shape
        assert size is None or ids.shape[::-1] == size
        assert np.array_equal(dry, image)
        assert np.array_equal(wet, rainy_view(image, ids, scenes, 150.0, index, rain=rain))
        assert not np.array_equal(wet, image)
