# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table is consistent, refuses with reasons, and the files of config/ say the same."""

import re
import subprocess
import sys
from array import array
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from ubcn_ros.node.parameter_spec import Changes
from ubcn_ros.node.parameters import (
    SPECS,
    USE_SIM_TIME,
    Settings,
    refusal,
    unchanged,
    unknown_names,
)

CONFIG = Path(__file__).parents[2] / 'config' / 'ubcn.yaml'
DOCUMENT = CONFIG.with_name('README.md')
WHEN = {Changes.AT_START: 'start', Changes.AT_CONFIGURE: 'configure',
        Changes.AT_RUNTIME: 'runtime'}


def test_settings_hold_what_the_table_lists_in_its_order():
    assert [field.name for field in fields(Settings)] == [spec.name for spec in SPECS]


@pytest.mark.parametrize('spec', SPECS, ids=lambda spec: spec.name)
def test_defaults_are_allowed_and_described(spec):
    assert not spec.refusal(spec.default)
    assert spec.description.endswith('.')
    assert type(getattr(Settings.of({}), spec.name)) is type(spec.default)


def test_the_configuration_file_lists_every_parameter_with_its_default():
    text = CONFIG.read_text()
    (node, content), = yaml.safe_load(text).items()
    assert node == '/**'
    assert content['ros__parameters'] == {
        spec.name: [*spec.default] if isinstance(spec.default, tuple) else spec.default
        for spec in SPECS}
    for spec in SPECS:  # what else there is to say may follow
        comment = re.search(rf'((?:    # .*\n)*)    {spec.name}:', text)[1]
        said = ' '.join(comment.replace('# ', '').split())
        assert said.startswith(f'[{WHEN[spec.changes]}] {spec.description} Allowed: '
                               f'{spec.constraint}.')


def test_the_document_lists_every_parameter_as_the_table_does():
    section = DOCUMENT.read_text().split('## Parameters')[1].split('\n## ')[0]
    rows = re.findall(r'^\| `(\w+)` \| `([^`]+)` \| (.+?) \| (\w+) \| .+ \|$', section,
                      re.MULTILINE)
    assert sorted(rows) == sorted((spec.name, spec.typed(spec.default), spec.constraint,
                                   WHEN[spec.changes]) for spec in (*SPECS, USE_SIM_TIME))


@pytest.mark.parametrize('name, value, reason', [
    ('iterations', 0, 'iterations must be 1 to 10, got 0'),
    ('iterations', 11, 'iterations must be 1 to 10, got 11'),
    ('iterations', 2.5, 'iterations must be an integer, like 3; got 2.5'),
    ('iterations', True, 'iterations must be an integer'),
    ('deadline_ms', -1.0, 'deadline_ms must be 0 to 10000, got -1.0'),
    ('deadline_ms', float('nan'), 'deadline_ms must be 0 to 10000, got nan'),
    ('deadline_ms', '30', "deadline_ms must be a number, like 0.0; got '30'"),
    ('overlay_alpha', 1.01, 'overlay_alpha must be 0 to 1'),
    ('autostart', 'yes', 'autostart must be true or false'),
    ('device', 'gpu', "device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
    ('device', 'cuda:', 'device must be'),
    ('precision', 'int8', 'precision must be one of auto, fp32, bf16, fp16'),
    ('model', '', 'model must be a name or a path'),
    ('cameras', 'front', 'cameras must be a list of names of letters, digits and _ that begin'),
    ('cameras', [1], 'cameras must be a list of names'),
    ('cameras', ['front', '/left'], 'cameras must be a list of names'),
    ('cameras', ['front', 'engine'], 'cameras must be a list of names'),
    ('cameras', ['front', 'left', 'front'], 'cameras has front more than once'),
    ('input_transport', 'theora', 'input_transport must be one of raw, compressed'),
    ('convergence', 255.5, 'convergence must be 0 to 255, got 255.5'),
    ('convergence', -0.5, 'convergence must be 0 to 255'),
    ('min_confidence', 1.01, 'min_confidence must be 0 to 1, got 1.01'),
    ('min_confidence', -0.5, 'min_confidence must be 0 to 1, got -0.5'),
    ('min_confidence', float('nan'), 'min_confidence must be 0 to 1, got nan'),
    ('min_confidence', '0.5', 'min_confidence must be a number, like 0.0'),
    ('processing_size', 31, 'processing_size must be -1, 0 or 32 to 8192, or a list of'),
    ('processing_size', -2, 'processing_size must be'),
    ('processing_size', 8193, 'processing_size must be'),
    ('processing_size', [], 'processing_size must be'),
    ('processing_size', [360, '720'], 'processing_size must be'),
    ('processing_size', [[360]], 'processing_size must be'),
    ('processing_size', '360', 'processing_size must be'),
])
def test_values_are_refused_with_a_reason(name, value, reason):
    with pytest.raises(ValueError) as caught:
        Settings.of({name: value})
    assert reason in str(caught.value)


@pytest.mark.parametrize('name, value', [
    ('iterations', 1), ('iterations', 10), ('deadline_ms', 33), ('device', 'cuda:1'),
    ('overlay_alpha', 1), ('backend', 'onnxruntime'), ('processing_size', 0),
    ('convergence', 0.5), ('convergence', 255),
    ('min_confidence', 0), ('min_confidence', 0.5), ('min_confidence', 1),
    ('processing_size', (-1, 8192)), ('model', '/a folder/model.safetensors')])
def test_values_are_taken(name, value):
    assert getattr(Settings.of({name: value}), name) == value


@pytest.mark.parametrize('cameras, value, transports', [
    ([], 'raw', ('raw',)), ([], ['compressed'], ('compressed',)),
    (['a', 'b'], 'compressed', ('compressed',) * 2), (['a', 'b'], ['raw', 'compressed'],
                                                      ('raw', 'compressed'))])
def test_transports_are_one_for_all_cameras_or_one_for_each(cameras, value, transports):
    settings = Settings.of({'cameras': cameras, 'input_transport': value})
    assert settings.for_cameras('input_transport') == transports


@pytest.mark.parametrize('cameras, value, reason', [
    (['a', 'b', 'c'], ['raw', 'compressed'], 'lists 2 (raw, compressed) for 3 cameras: give'),
    ([], ['raw', 'raw'], 'lists 2 (raw, raw) for 1 camera: give')])
def test_transports_that_are_not_as_many_as_cameras_are_refused(cameras, value, reason):
    with pytest.raises(ValueError) as caught:
        Settings.of({'cameras': cameras, 'input_transport': value}).for_cameras('input_transport')
    assert reason in str(caught.value)


@pytest.mark.parametrize('value', [[], ['raw', 'theora'], [1], None, 3])
def test_a_list_of_transports_holds_nothing_else(value):
    with pytest.raises(ValueError, match='input_transport must be one of raw, compressed, or a'):
        Settings.of({'input_transport': value})


@pytest.mark.parametrize('text, value', [
    ('360', 360), ('-1', -1), ('[-1, 720]', [-1, 720]), ('0,360', [0, 360]), ('[360]', [360])])
def test_processing_sizes_are_read_as_they_are_typed(text, value):
    spec, = (spec for spec in SPECS if spec.name == 'processing_size')
    assert spec.parse(text) == value and not spec.refusal(value)
    given = array('q', value) if isinstance(value, list) else value  # as rclpy has it
    assert not spec.refusal(given) and spec.take(given) == spec.take(value)


@pytest.mark.parametrize('spec', (*SPECS, USE_SIM_TIME), ids=lambda spec: spec.name)
def test_a_default_that_is_typed_is_read_as_what_it_was(spec):
    value = spec.parse(spec.typed(spec.default))
    assert not spec.refusal(value) and spec.take(value) == spec.default
    assert type(spec.take(value)) is type(spec.default)


@pytest.mark.parametrize('name, present, value, same', [
    ('deadline_ms', 1.0, 1, True), ('iterations', 1, True, False), ('autostart', True, 1, False),
    ('cameras', ['front'], ('front',), True), ('cameras', [], [''], True),
    ('cameras', ['front'], ['left'], False), ('input_transport', 'raw', ['raw'], False),
    ('model', 'a', 'a', True), ('model', 'a', None, False), ('use_sim_time', False, False, True),
    ('qos_overrides./image.subscription.depth', 1, 1, True),
    ('qos_overrides./image.subscription.depth', 1, 2, False),
    ('other', array('d', [1.0]), [1.0], True), ('other', 'a', ['a'], False)])
def test_what_counts_as_unchanged(name, present, value, same):
    assert unchanged(name, present, value) == same


@pytest.mark.parametrize('flag', ['-h', '--help'])
def test_the_help_lists_every_parameter_without_pytorch_or_ros(flag):
    code = ('import sys; from ubcn_ros.node.main import main; code = main([sys.argv[1]])\n'
            "sys.exit(code or any(name in sys.modules for name in ('torch', 'rclpy')))")
    done = subprocess.run([sys.executable, '-c', code, flag], capture_output=True, text=True,
                          timeout=60, check=True)
    text = ' '.join(done.stdout.split())
    for spec in (*SPECS, USE_SIM_TIME):
        assert f'{spec.name} ({spec.typed(spec.default)}; {spec.constraint}; ' \
            f'{spec.changes.value}) {spec.description}' in text
    assert text.startswith('usage: ubcn_node ') and '--ros-args -r image:=' in text


@pytest.mark.parametrize('value, taken', [
    (None, ()), ([], ()), ([''], ()), (['front', 'rear/left_2'], ('front', 'rear/left_2'))])
def test_cameras_are_named_or_there_is_one_without_a_name(value, taken):
    assert Settings.of({'cameras': value}).cameras == taken


def test_an_integer_becomes_the_number_it_stands_for():
    assert isinstance(Settings.of({'deadline_ms': 33}).deadline_ms, float)


@pytest.mark.parametrize('spec', SPECS, ids=lambda spec: spec.name)
def test_changes_are_taken_when_the_table_says_so(spec):
    for configured, allowed in ((False, spec.changes is not Changes.AT_START),
                                (True, spec.changes is Changes.AT_RUNTIME)):
        assert (not refusal(spec.name, spec.default, configured)) == allowed


def test_refusals_at_runtime_say_what_to_do():
    assert 'clean it up, set model' in refusal('model', 'other', configured=True)
    assert 'iterations must be 1 to 10' in refusal('iterations', 99, configured=True)
    assert refusal('cameras', None, configured=False) == \
        'cameras cannot be deleted: set a value'
    assert not refusal('qos_overrides./image.subscription.depth', 3, configured=True)


def test_unknown_names_are_named_with_the_nearest():
    assert unknown_names([spec.name for spec in SPECS]) == []
    assert unknown_names(['use_sim_time', 'qos_overrides./image.subscription.depth']) == []
    assert 'did you mean iterations?' in unknown_names(['iteration'])[0]
    assert 'known are model, ' in unknown_names(['zzz'])[0]
