# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of ubcn_ros/network/README.md, as it stands there: built, trained, saved, run."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ubcn_ros.labels import numbered_labels
from ubcn_ros.network import build
from ubcn_ros.runtime import Engine, ModelFileError, save_model
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import OptimizerConfig, StageConfig, TrainConfig
from ubcn_ros.training.optimizers import make_optimizer
from ubcn_ros.training.stages import STAGE_CLASSES

SECTION = (Path(__file__).parents[2] / 'ubcn_ros/network/README.md').read_text('utf-8')
BLOCKS = dict(re.findall(r'^```(\w+)\n(.*?)^```', SECTION, re.MULTILINE | re.DOTALL))


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """The recipe of the document; its module lies where the document says."""
    monkeypatch.syspath_prepend(tmp_path)
    name = re.search(r'`(\w+\.py)`:', SECTION)[1]
    (tmp_path / name).write_text(BLOCKS['python'])
    (tmp_path / 'my.yaml').write_text(BLOCKS['yaml'])
    yield TrainConfig.load(tmp_path / 'my.yaml')
    sys.modules.pop(name.removesuffix('.py'), None)


def test_it_is_short_and_its_recipe_takes_no_option_of_the_preset(recipe):
    assert len(BLOCKS['python'].strip().splitlines()) <= 40
    given = yaml.safe_load(BLOCKS['yaml'])['model']['overrides']
    config = model_config(recipe, numbered_labels(5))
    assert config.segmentation == given['segmentation']
    assert config.segmentation_options == given['segmentation_options']
    assert recipe.name == re.search(r'runs/(\w+)/\1.safetensors', BLOCKS['sh'])[1]


@pytest.mark.parametrize('kind', ['adapt', 'joint'])
def test_it_trains_is_saved_loaded_and_run(recipe, tmp_path, kind):
    torch.manual_seed(0)
    recipe.model.overrides.update({'derain': {'channels': 4, 'blocks': 1},
                                   'attention': {'channels': 4, 'blocks': 1}})
    network = build(model_config(recipe, numbered_labels(5)))
    before = network.segmentation.classifier.weight.clone()
    stage = STAGE_CLASSES[kind](network, StageConfig(
        1, 1, iterations=2, segmentation_weight=0.5, optimizer=OptimizerConfig(lr=1e-2)))
    optimizers = [make_optimizer(*group, fused=False) for group in stage.parameter_groups()]
    stage.train()
    loss, _ = stage({'clean': torch.rand(1, 3, 96, 112), 'degraded': torch.rand(1, 3, 96, 112),
                     'labels': torch.randint(5, (1, 96, 112), dtype=torch.uint8)})
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    assert loss.isfinite() and not torch.equal(network.segmentation.classifier.weight, before)

    path = tmp_path / 'small.safetensors'
    save_model(path, network, {'trained': ['derain', 'segmentation', 'attention']})
    del sys.modules['small_net']  # as in a new process
    image = np.random.default_rng(0).integers(0, 256, (57, 75, 3), np.uint8)
    frame = Engine.load(path, device='cpu', precision='fp32')(image, iterations=2)
    network.eval()
    with torch.inference_mode():
        step = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255, 2)[-1]
    assert (frame.labels == step.full_logits[0].argmax(0).numpy()).mean() > 0.99


def test_without_its_folder_on_the_path_the_file_says_what_is_missing(recipe, tmp_path):
    recipe.model.overrides.update({'derain': {'channels': 4, 'blocks': 1},
                                   'attention': {'channels': 4, 'blocks': 1}})
    path = tmp_path / 'small.safetensors'
    save_model(path, build(model_config(recipe, numbered_labels(5))), {})
    (tmp_path / 'small_net.py').unlink()
    del sys.modules['small_net']
    with pytest.raises(ModelFileError, match='small_net:SmallNet.*PYTHONPATH'):
        Engine.load(path, device='cpu')
