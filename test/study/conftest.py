# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What tests of figures share: a few scenes, and the folder of a study of baselines."""

from dataclasses import replace

import pytest
from camvid_folder import stripes, write_scenes
from random_images import cloudy_images


@pytest.fixture(autouse=True, scope='session')
def _timed_on_clouds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('ubcn_ros.study.times.rainy_images', cloudy_images)
        yield


@pytest.fixture(scope='session')
def street(tmp_path_factory):
    """Folder in CamVid's layout: three scenes of 96x64 in the split val."""
    return write_scenes(tmp_path_factory.mktemp('street') / 'camvid', 'val', 'A_0', 'A_1', 'A_2',
                        labels=stripes(0, 1, 3, 255, height=64, width=96))


@pytest.fixture
def fabric():
    from lightning.fabric import Fabric
    return Fabric(accelerator='cpu', devices=1, precision='32-true')


@pytest.fixture(scope='session')
def some_baselines(tiny_model, tmp_path_factory):
    """Folder of a study that has trained two of the baselines for as many samples as IDM."""
    import torch

    from ubcn_ros.network import build
    from ubcn_ros.network.baselines import BaselineConfig
    from ubcn_ros.runtime import load_model, save_model
    folder = tmp_path_factory.mktemp('study-baselines')
    network, info = load_model(tiny_model)
    for name in ('ddn', 'rescan'):
        torch.manual_seed(3)
        baseline = build(replace(info.config, derain=BaselineConfig(name)))
        baseline.segmentation.load_state_dict(network.segmentation.state_dict())
        place = folder / 'samples' / name
        place.mkdir(parents=True)
        save_model(place / f'baselines-{name}.safetensors', baseline,
                   {'trained': ['derain', 'segmentation']})
    return folder


@pytest.fixture
def reported():
    """Function that returns what ubcn study report says of one folder: its page and sections."""
    from ubcn_ros.study.report.assemble import study_report
    from ubcn_ros.study.report.page import html
    from ubcn_ros.study.report.pdf import pdf

    def made(folder):
        report = study_report([folder], 'ubcn study report')
        assert pdf(report).startswith(b'%PDF-')
        sections = [section for section in report.sections if not section.empty]
        for section in sections:  # command and time
            assert 'not recorded' not in dict(section.facts).values()
        return html(report), sections
    return made
