# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny CamVid, a tiny network and recipes for them."""

import copy

import cv2
import numpy as np
import pytest
import torch
import yaml
from camvid_folder import write_scene
from lightning.fabric import Fabric
from PIL import Image
from torch import nn

from ubcn_ros.data.formats.voc2012 import VOC2012
from ubcn_ros.data.mixture import open_data
from ubcn_ros.training.architecture import built
from ubcn_ros.training.config import STAGES, STAGES_WITH, TrainConfig, decisive
from ubcn_ros.training.results import ResultsTable
from ubcn_ros.training.trainer import Trainer

_TINY = {'channels': 4, 'blocks': 1}
TINY_MODEL = {
    'preset': 'light',
    'overrides': {'veil': None, 'derain': _TINY, 'attention': {**_TINY, 'veil_channels': 0},
                  'segmentation': 'small_segmentation:SmallSegmentation'}}
STAGE = {'optimizer_steps': 6, 'batch': 2, 'save_every': 2, 'validate_every': 100,
         'samples': {'crop': [32, 48], 'renders': 4, 'reuse': 2},
         'optimizer': {'kind': 'adam', 'lr': 1e-2, 'warm_up': 0}}


@pytest.fixture(autouse=True, scope='module')
def _one_thread(one_thread):
    """In all tests of training."""


@pytest.fixture(autouse=True, scope='session')
def _few_samples_shown():
    """Two of a stage, not twelve, on the sheet that a run leaves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('ubcn_ros.training.pictures._ROWS', 1)
        yield


@pytest.fixture(autouse=True, scope='session')
def _streets(painted):
    """A street that is driven through in several tests is painted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('ubcn_ros.training.drive_frames.Drive', painted)
        yield


@pytest.fixture
def few_pictures(monkeypatch):
    """Tensor samples have a picture of each kind of rain, where they have up to 64."""
    monkeypatch.setattr('ubcn_ros.training.tensors.samples._VARIANTS', 1)
    for name in ('soft_streaks', 'lens_drops', 'painted'):
        monkeypatch.setattr(f'ubcn_ros.training.tensors.{name}._PICTURES', 1)


@pytest.fixture
def small_discriminator(monkeypatch):
    """A discriminator of few weights: that of table 2 has more than all else here."""
    monkeypatch.setattr('ubcn_ros.training.stages.Discriminator', lambda channels: nn.Sequential(
        nn.Conv2d(channels, 8, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(8, 8, 4, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2),
        nn.Conv2d(8, 1, 4, padding=1)))


@pytest.fixture(autouse=True, scope='session')
def _own_cache(tmp_path_factory):
    """Facts of the tests' data are kept with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield


def street(index, size=(64, 80)):
    """Image and mask of a sky over a building over a road, with a texture of its own."""
    height, width = size
    rng = np.random.default_rng(index)
    labels = np.zeros(size, np.uint8)
    labels[height // 3:], labels[2 * height // 3:], labels[:2] = 1, 3, 255
    image = np.array([[200, 220, 230], [90, 60, 50], [0, 0, 0], [70, 70, 80]], np.uint8)[
        np.minimum(labels, 3)]
    texture = cv2.resize(rng.integers(0, 50, (height // 8, width // 8, 3), np.uint8),
                         (width, height))
    return np.clip(image + texture, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope='session')
def camvid_root(tmp_path_factory):
    """Folder in CamVid's layout: five scenes to train on, two to validate on."""
    root = tmp_path_factory.mktemp('camvid')
    for split, count, first in (('train', 5, 0), ('val', 2, 10)):
        for i in range(count):
            write_scene(root, split, f'0001TP_{i}', *street(first + i))
    return root


@pytest.fixture(scope='session')
def scenes(camvid_root):
    return open_data([camvid_root]).split('train')


@pytest.fixture(scope='session')
def data(camvid_root):
    return open_data([camvid_root])


@pytest.fixture(scope='session')
def voc_root(tmp_path_factory):
    """Folder of PASCAL VOC's devkit with two images to train on and one to validate on."""
    root = tmp_path_factory.mktemp('voc')
    base = root / 'VOCdevkit' / 'VOC2012'
    for name in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (base / name).mkdir(parents=True)
    names = ['2007_000032', '2007_000039', '2008_000001']
    for i, name in enumerate(names):
        image = np.random.default_rng(i).integers(30, 200, (8, 10, 3)).astype(np.uint8)
        cv2.imwrite(str(base / 'JPEGImages' / f'{name}.jpg'), cv2.resize(image, (80, 64)))
        ids = np.zeros((64, 80), np.uint8)
        ids[20:50, 10:60], ids[18:20] = 1 + 7 * i, 255
        mask = Image.fromarray(ids)
        mask.putpalette(VOC2012.palette().reshape(-1).tolist())
        mask.save(base / 'SegmentationClass' / f'{name}.png')
    for split, chosen in (('train', names[:2]), ('val', names[2:])):
        (base / 'ImageSets' / 'Segmentation' / f'{split}.txt').write_text('\n'.join(chosen))
    return root


@pytest.fixture
def recipe(tmp_path):
    """Function that makes a recipe: stage name and changes of it to TrainConfig."""
    def make(stage, changes=None, **more):
        values = copy.deepcopy({'name': 'tiny', 'model': TINY_MODEL, 'seed': 5,
                                'data': {'validation_images': 1},
                                'stages': {stage: used(stage, merge(STAGE, changes or {}))},
                                **more})
        path = tmp_path / f'{stage}.yaml'
        path.write_text(yaml.safe_dump(values))
        make.path = path
        return TrainConfig.load(path)
    return make


@pytest.fixture
def make_trainer(scenes, tmp_path):
    """Function that makes a trainer of a recipe's stage alone, in a folder of that name."""
    def made(config, stage, out='out', training=scenes, validation=None, workers=0, fabric=None,
             settings=None):
        torch.manual_seed(config.seed)
        folder = tmp_path / out
        return Trainer(
            fabric or Fabric(accelerator='cpu', devices=1), config, stage,
            built(config, scenes.label_set), training, validation, folder, workers,
            log=folder / 'log', results=ResultsTable(folder / 'results.csv'),
            settings={**decisive(config, stage), **(settings or {})}, title=stage,
            record=lambda steps, scores: {'optimizer_steps': steps, 'validation': scores})
    return made


def used(stage, values):
    """The values that a stage uses, of those for any stage."""
    return {key: value for key, value in values.items()
            if stage in STAGES_WITH.get(key, STAGES)}


def merge(values, changes):
    """Values with the changes put in, mappings within mappings too."""
    return {**values, **{k: merge(values.get(k) or {}, v) if isinstance(v, dict) else v
                         for k, v in changes.items()}}


TINY_STAGE = {'optimizer_steps': 2, 'save_every': 1, 'validate_every': 1, 'iterations': 2,
              'adversarial_weight': 0,
              'samples': {'crop': [32, 32], 'renders': 2, 'reuse': 2},
              'optimizer': {'kind': 'adam', 'lr': 1e-3, 'warm_up': 0}}


@pytest.fixture(scope='session')
def write_recipe():
    """Function that writes a tiny recipe of several stages, and returns its path."""
    def written(path, changes=None, stages=STAGES):
        values = {'name': 'tiny', 'model': TINY_MODEL, 'seed': 5,
                  'data': {'validation_images': 1},
                  'stages': {name: used(name, merge(STAGE, TINY_STAGE)) for name in stages}}
        path.write_text(yaml.safe_dump(merge(values, changes or {})))
        return path
    return written
