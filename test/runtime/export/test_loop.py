# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What export.json says suffices for the engine's answer, with ONNX Runtime and NumPy alone."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from random_images import clouds

from ubcn_ros.cli.export import export
from ubcn_ros.network import build
from ubcn_ros.network.veil_field import FieldSAMConfig
from ubcn_ros.runtime import Engine, load_model, save_model

pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')


class Loop:
    """An export run as its description says; the comments are its words."""

    def __init__(self, folder):
        said = json.loads((folder / 'export.json').read_text())
        self.sizes, self.stages = said['sizes'], said['stages']
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # several spin while they wait
        self.sessions = {name: onnxruntime.InferenceSession(folder / stage['file'], options)
                         for name, stage in self.stages.items()}

    def stage(self, name, **values):
        wanted = [value['name'] for value in self.stages[name]['inputs']]
        outputs = [value['name'] for value in self.stages[name]['outputs']]
        given = {key: values[key].astype(np.float32) for key in wanted}
        return dict(zip(outputs, self.sessions[name].run(outputs, given), strict=True))

    def derain_size(self, image):
        if self.sizes['derain']:
            return self.sizes['derain']
        part = min(image) // self.sizes['derain_side']
        return image if part < 2 else [round(side / part) for side in image]

    def label_size(self, image):
        s = self.sizes
        if s['label']:
            return s['label']
        scale = min(2, s['short_side'] / min(image)) if s['short_side'] else 1
        step = s['alignment']
        return [min(max(step * round(side * scale / step), s['least']),
                    step * (side // step) if scale <= 1 else math.inf) for side in image]

    def attention_size(self, image, label):
        if self.sizes['attention']:
            return self.sizes['attention']
        step = self.sizes['alignment']
        whole = label == [step * (side // step) for side in image]
        return image if whole or label[0] > image[0] or label[1] > image[1] else label

    def __call__(self, pixels, iterations):
        image = (pixels / 255).transpose(2, 0, 1)[None]
        size = list(image.shape[2:])
        label = self.label_size(size)
        attention = self.attention_size(size, label)
        small = resample(image, self.derain_size(size))
        found = {'lifted': small, **self.stage('derain', image=small)}
        rainy, derained = (image + enlarge(found[name] - small, size)
                           for name in ('lifted', 'derained'))
        logits = self.stage('segment', derained=resample(derained, label))['logits']
        for _ in range(iterations - 1):
            small, seen = resample(derained, attention), resample(rainy, attention)
            attended = self.stage('attend', image=seen, lifted=seen, previous=small,
                                  previous_logits=logits)['derained']
            derained = derained + enlarge(attended - small, size)
            logits = self.stage('segment', derained=resample(derained, label))['logits']
        restored = np.rint((255 * derained[0]).clip(0, 255)).astype(np.uint8).transpose(1, 2, 0)
        return restored, enlarge(logits, size)[0].argmax(0)


def resample(x, size):
    """Antialiased bilinear."""
    for axis, m in zip((2, 3), size, strict=True):
        n = x.shape[axis]
        step = n / m
        distance = np.abs(np.arange(n) + 0.5 - (np.arange(m)[:, None] + 0.5) * step)
        weights = (1 - distance / max(1, step)).clip(0)
        weights /= weights.sum(1, keepdims=True)
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x


def enlarge(x, size):
    """Bilinear without aligned corners."""
    for axis, m in zip((2, 3), size, strict=True):
        n = x.shape[axis]
        read = ((np.arange(m) + 0.5) * n / m - 0.5).clip(0, n - 1)
        below = read.astype(int)
        share = (read - below).reshape(-1, *(1,) * (3 - axis))
        x = x.take(below, axis) * (1 - share) + x.take((below + 1).clip(max=n - 1), axis) * share
    return x


def require_the_engines(folder, model, sizes):
    """Compare at these heights and widths."""
    loop, engine = Loop(folder), Engine.load(model, 'cpu', 'fp32')
    for size in sizes:
        image = clouds(1, *size)
        for iterations in (1, 3):
            restored, labels = loop(image, iterations)
            frame = engine(image, iterations)
            assert np.abs(restored.astype(int) - frame.derained).max() <= 2
            assert (labels == frame.labels).mean() >= 0.995
            assert len(np.unique(labels)) > 1


def export_of(model, trained_short_side, folder, *options, trained_derain_side=None):
    """Export a model as one that was trained at these short sides; the export, and the model."""
    trained = folder / 'trained.safetensors'
    save_model(trained, load_model(model)[0], {'trained_short_side': trained_short_side,
                                              'trained_derain_side': trained_derain_side})
    result = CliRunner().invoke(export, ['--format', 'onnx', '--model', str(trained), '--out',
                                         str(folder / 'export'), *options])
    assert result.exit_code == 0, result.output
    return folder / 'export', trained


def test_the_description_of_one_that_was_trained_at_no_size_does_too(tiny_model, tmp_path):
    require_the_engines(*export_of(tiny_model, None, tmp_path), [(45, 61), (97, 64)])


def test_the_description_of_any_size_gives_the_engines_answer(rain_model, tmp_path):
    # the short side and little more, twice that and more, one that is not aligned, and ones that
    # are enlarged a little and by more
    require_the_engines(*export_of(rain_model, 40, tmp_path, trained_derain_side=42),
                        [(40, 56), (41, 53), (97, 131), (35, 77), (150, 40), (33, 38), (39, 36)])


def test_the_description_of_a_sam_that_lifts_the_veil_itself_does_too(rain_model, tmp_path):
    network, info = load_model(rain_model)
    changed = build(replace(info.config, attention=FieldSAMConfig(
        8, 2, 2, form='trunk', veil_channels=4, veil_texture=2)))
    state = changed.state_dict()
    changed.load_state_dict(state | {name: value for name, value in network.state_dict().items()
                                     if name in state})
    torch.nn.init.normal_(changed.attention.veil.field.weight, std=0.02)
    save_model(tmp_path / 'own.safetensors', changed, {})
    folder, model = export_of(tmp_path / 'own.safetensors', 40, tmp_path, trained_derain_side=42)
    stages = json.loads((folder / 'export.json').read_text())['stages']
    assert [value['name'] for value in stages['derain']['outputs']] == ['derained', 'rain']
    assert stages['attend']['inputs'][0]['name'] == 'image'
    require_the_engines(folder, model, [(41, 53), (97, 131)])


@pytest.mark.parametrize('options', [(), ('--height', '101', '--width', '140')])
def test_the_description_of_images_that_are_made_smaller_for_idm_does_too(
        tiny_model, tmp_path, options):
    found = export_of(tiny_model, 40, tmp_path, *options, trained_derain_side=42)
    require_the_engines(*found, [(101, 140)] if options else [(63, 70), (64, 97), (101, 140)])


@pytest.mark.parametrize(('size', 'label', 'attention'), [
    ((80, 100), (40, 48), (40, 48)), ((41, 45), (40, 40), (41, 45)),
    ((33, 41), (40, 48), (33, 41))])
def test_the_description_of_one_size_does_too(tiny_model, tmp_path, size, label, attention):
    folder, model = export_of(tiny_model, 40, tmp_path, '--height', str(size[0]),
                              '--width', str(size[1]))
    text = ' '.join(json.loads((folder / 'export.json').read_text())['loop'])
    for name, lengths in (('image', size), ('label', label), ('attention', attention)):
        assert f'{name} size = {lengths[0]} x {lengths[1]} (' in text
    require_the_engines(folder, model, [size])
