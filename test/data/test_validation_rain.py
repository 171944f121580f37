# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.rain import add_rain
from ubcn_ros.data.scenes import Group, SceneList
from ubcn_ros.data.validation_rain import RAINS, rainy_view

SCENES = SceneList('none', CAMVID, ())
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
LABELS = np.repeat(np.array([0, 1, 3], np.uint8), 16)[:, None].repeat(64, 1)


@pytest.mark.parametrize('rain', RAINS)
def test_fixed_by_the_seed(rain):
    first = rainy_view(IMAGE, LABELS, SCENES, 150.0, 7, rain=rain)
    np.testing.assert_array_equal(first, rainy_view(IMAGE, LABELS, SCENES, 150.0, 7, rain=rain))
    assert (first != rainy_view(IMAGE, LABELS, SCENES, 150.0, 8, rain=rain)).any()


@pytest.mark.parametrize('rain', RAINS)
def test_dry_is_unchanged_and_more_rain_changes_more(rain):
    changes = [np.abs(rainy_view(IMAGE, LABELS, SCENES, rate, 3, rain=rain).astype(int)
                      - IMAGE).mean() for rate in (0.0, 50.0, 250.0)]
    assert changes[0] == 0 < changes[1] < changes[2]


def test_painted_rain_has_no_veil():
    road = np.full((96, 128, 3), 60, np.uint8)
    road[:24] = 220
    for seed in range(4):
        painted, rendered = (rainy_view(road, np.full((96, 128), 3, np.uint8), SCENES, 150.0,
                                        seed, rain=rain)[24:48] for rain in RAINS[::-1])
        # where no streak is, nothing changes; a veil leaves nothing far away as it is
        assert (painted == 60).mean() > 0.2 and (rendered == 60).mean() < 0.05
        assert (painted >= 60).all(), 'streaks are bright'


def test_other_rain_is_refused():
    with pytest.raises(ValueError, match="'drizzle': expected rendered, painted"):
        rainy_view(IMAGE, LABELS, SCENES, 50.0, 3, rain='drizzle')


@pytest.mark.parametrize('rain', RAINS)
@pytest.mark.parametrize('rate', [-1.0, 300.5, float('nan')])
def test_a_rate_out_of_range_is_refused(rain, rate):
    with pytest.raises(ValueError, match=f'rain rate is {rate} mm/hr: expected 0..300'):
        rainy_view(IMAGE, LABELS, SCENES, rate, 3, rain=rain)


def test_the_distance_follows_the_classes():
    other = np.full_like(LABELS, 3)
    assert (rainy_view(IMAGE, LABELS, SCENES, 150.0, 3) !=
            rainy_view(IMAGE, other, SCENES, 150.0, 3)).any()


def test_measured_distances_go_before_those_of_the_classes():
    depth = np.full(LABELS.shape, 12.0, np.float32)
    assert np.array_equal(rainy_view(IMAGE, LABELS, SCENES, 150.0, 3, depth),
                          add_rain(IMAGE, 150.0, 3, depth))


def test_the_distance_follows_groups_of_classes_by_their_name():
    labels = LABELS.copy()
    labels[20:40, 20:40] = CAMVID.num_classes
    views = {name: rainy_view(IMAGE, labels, SceneList('none', CAMVID, (), (Group(name, (8, 9)),)),
                              150.0, 3) for name in ('vehicle', 'Vehicles', 'something')}
    assert np.array_equal(views['vehicle'], views['Vehicles'])
    assert (views['vehicle'] != views['something']).any()
