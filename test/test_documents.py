# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the documents name exists: files, commands, options, launch arguments, topics."""

import re
import shlex
import xml.etree.ElementTree as ElementTree
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
import yaml

from ubcn_ros.cli import main
from ubcn_ros.data.datasets import FORMATS, open_dataset
from ubcn_ros.data.yaml_values import FORMS
from ubcn_ros.images.files import write_image
from ubcn_ros.node.parameters import SPECS, USE_SIM_TIME
from ubcn_ros.training.config import (
    STAGES_WITH,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    StageConfig,
    TrainConfig,
)
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.yaml_to_dataclass import converted

ROOT = Path(__file__).parent.parent
DOCUMENTS = ('README.md', 'config/README.md', 'launch/README.md', 'models/README.md',
             'test/README.md', 'config/train/README.md', 'ubcn_ros/data/README.md',
             'ubcn_ros/network/README.md', 'ubcn_ros/study/README.md', 'ubcn_ros/README.md',
             'ubcn_ros/bags/README.md', 'ubcn_ros/benchmark/README.md',
             'config/train/history.md')
FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.MULTILINE | re.DOTALL)
# what the documents' commands, or their readers, write
WRITTEN = ('out/', 'runs/', 'small_net.py')


def inline_code(text):
    """What stands between backticks, outside of blocks, each on one line."""
    return [' '.join(code.split()) for code in re.findall(r'`([^`]+)`', FENCE.sub('', text))]


def command_lines(text):
    """Lines of shell, in blocks and between backticks, without continuations and comments."""
    blocks = [block for language, block in FENCE.findall(text) if language == 'sh']
    lines = '\n'.join(blocks).replace('\\\n', ' ').splitlines() + inline_code(text)
    for line in lines:
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.wordchars += ':=$*{},[]%'
            yield list(lexer)
        except ValueError:  # a lone quote: no command
            continue


def calls(text):
    """Words after each `ubcn` that is called."""
    for words in command_lines(text):
        while 'ubcn' in words:
            words = words[words.index('ubcn') + 1:]
            end = next((place for place, word in enumerate(words)
                        if re.fullmatch(r'[;&|()]+', word)), len(words))
            yield words[:end]


def check_call(words):
    """Walk the tree of commands; AssertionError for what it does not have."""
    command, name, words = main, 'ubcn', list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith('-'):
        name = f'{name} {words[0]}'
        command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, f'there is no {name}'
    options = {text: parameter for parameter in command.params
               if isinstance(parameter, click.Option) for text in parameter.opts}
    arguments = [parameter for parameter in command.params
                 if isinstance(parameter, click.Argument)]
    given = []
    while words:
        word = words.pop(0)
        if not word.startswith('-'):
            given.append(word)
            continue
        if word in ('-h', '--help', '--version'):
            continue
        assert word in options, f'{name} has no {word}'
        option = options[word]
        if not option.is_flag:
            assert words, f'{name} {word} needs a value'
            check_value(option, words.pop(0), name)
    most = sum(argument.nargs for argument in arguments)
    if all(argument.nargs > 0 for argument in arguments):
        assert len(given) <= most, f'{name} takes {most} arguments, not {given}'


def options_of(command):
    """Yield the options of a command and of those below it."""
    for parameter in command.params:
        yield from parameter.opts
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from options_of(command.get_command(context, name))


def check_value(option, value, name):
    """AssertionError for a value that is not of the option; files need not exist."""
    if isinstance(option.type, click.Path) or value.startswith('$') or value.isupper():
        return
    try:
        option.type.convert(value, option, None)
    except click.BadParameter as error:
        raise AssertionError(f'{name} {option.opts[0]} {value}: {error.message}') from error


def read(name):
    return (ROOT / name).read_text()


@pytest.mark.parametrize('name', DOCUMENTS)
def test_files_exist(name):
    text = read(name)
    top = {path.name for path in ROOT.iterdir() if path.is_dir()} | {'train'}
    named = re.findall(r'\]\(([^)#:]+)\)', text)
    for code in inline_code(text):
        path = code.split('::')[0]
        if re.fullmatch(r'[\w./-]+', path) and not path.startswith(WRITTEN) and (
                path.split('/')[0] in top and '/' in path
                or re.search(r'\.(py|md|xml|rviz|launch\.py)$', path)):
            named.append(path)
    here = (ROOT / name).parent
    missing = [path for path in named if not ((ROOT / path).exists() or (here / path).exists())]
    assert not missing


@pytest.mark.parametrize('name', DOCUMENTS[:-1])
def test_commands_and_options_exist(name):
    for words in calls(read(name)):
        check_call(words)


@pytest.mark.parametrize('name', DOCUMENTS)
def test_options_in_sentences_exist(name):
    known = {'--show-args'} | set(options_of(main))  # the first is of ros2 launch
    named = {code.split()[0] for code in inline_code(read(name)) if code.startswith('--')}
    assert named <= known


@pytest.mark.parametrize('words, complaint', [
    ('derian', 'there is no ubcn derian'), ('bag proces IN OUT', 'there is no ubcn bag proces'),
    ('derain IN OUT --iteration 3', 'ubcn derain has no --iteration'),
    ('derain IN OUT --iterations 11', '--iterations 11'), ('derain A B C', 'takes 2 arguments'),
    ('benchmark engine --precision int8', '--precision int8')])
def test_commands_that_do_not_exist_are_found(words, complaint):
    (found,) = calls(f'As in `ubcn {words}`.')
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        check_call(found)


def test_commands_are_found_in_blocks_and_sentences():
    text = 'Say `ubcn derain A\nB`.\n\n```sh\nfor i in 1; do\n  ubcn rain A \\\n    B && ' \
           'ros2 run ubcn_ros ubcn demo   # all\ndone\n```\n'
    assert list(calls(text)) == [['rain', 'A', 'B'], ['demo'], ['derain', 'A', 'B']]


@pytest.mark.parametrize('name', DOCUMENTS)
def test_launch_arguments_exist(name):
    declared = {found for path in (ROOT / 'launch').glob('*.py')
                for found in re.findall(r"DeclareLaunchArgument\(\s*'(\w+)'", path.read_text())}
    declared |= {spec.name for spec in (*SPECS, USE_SIM_TIME)}
    # nodes of other packages have arguments of their own
    text = re.sub(r'ros2 run (?!ubcn_ros)(?:\\\n|.)*', '', read(name))
    assert set(re.findall(r'(\w+):=', text)) <= declared


@pytest.mark.parametrize('name', DOCUMENTS)
def test_targets_of_make_exist(name):
    targets = re.findall(r'^([\w-]+):', read('Makefile'), re.MULTILINE)
    called = [words[1] for words in command_lines(read(name)) if words[:1] == ['make']]
    assert set(called) <= set(targets)


def test_topics_are_those_of_the_node():
    """The policy grants just what the node uses: test_security.py."""
    section = read('README.md').split('## Topics')[1].split('\n## ')[0]
    first = [line.split('|')[1] for line in section.splitlines() if line.startswith('|')]
    named = set(re.findall(r'`([^`]+)`', ' '.join(first)))
    policy = ElementTree.parse(ROOT / 'config' / 'ubcn_policy.xml')
    used = {topic.text.strip('/') for topic in policy.iter('topic')}
    of_every_node = {'clock', 'parameter_events', 'rosout', 'ubcn/transition_event'}
    assert {name.strip('/') for name in named} == used - of_every_node


@pytest.mark.parametrize('name', DOCUMENTS)
def test_rows_of_tables_are_whole(name):
    cells = 0
    for line in FENCE.sub('', read(name)).splitlines():
        if not line.startswith('|'):
            cells = 0
            continue
        assert cells in (0, line.count('|')), line
        cells = line.count('|')


@pytest.mark.parametrize('name', DOCUMENTS)
def test_the_project_speaks_of_itself_alone(name):
    assert not re.search(r'/home/|/root/|/work/|/tmp/|pypi\.org|index-url', read(name))


def rows_of(text, heading):
    """Cells of the table below a heading, without its first two lines."""
    section = re.search(rf'^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)', text,
                        re.MULTILINE | re.DOTALL)[1]
    lines = [line for line in FENCE.sub('', section).splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


@pytest.mark.parametrize(('heading', 'config'), [
    ('Whole recipe', TrainConfig), ('model', ModelConfig), ('data', DataConfig),
    ('stages.STAGE', StageConfig), ('stages.STAGE.samples', SampleConfig),
    ('stages.STAGE.optimizer, stages.STAGE.discriminator', OptimizerConfig)])
def test_every_key_of_a_recipe_is_there_with_its_default(heading, config):
    rows = rows_of(read('config/train/README.md'), heading)
    assert [row[0].strip('`') for row in rows] == [f.name for f in fields(config)]
    for f, (_, cell, _) in zip(fields(config), rows, strict=True):
        default = f.default if f.default_factory is MISSING else f.default_factory()
        if default is MISSING or is_dataclass(default):
            assert cell == ('required' if default is MISSING else 'see below')
        else:
            assert converted(yaml.safe_load(cell.strip('`')), default, f.name) == default


def test_keys_of_some_stages_name_them():
    rows = rows_of(read('config/train/README.md'), 'stages.STAGE')
    named = {key.strip('`'): tuple(found[1].split(', ')) for key, _, text in rows
             if (found := re.search(r'\(((?:derain|adapt|attend|joint)\b[^)]*)\)$', text))}
    assert named == STAGES_WITH


def test_every_recipe_is_there():
    named = {row[0].strip('`') for row in rows_of(read('config/train/README.md'), 'Recipes')}
    recipes = {path.name for path in (ROOT / 'config' / 'train').glob('*.yaml')}
    assert recipes <= named <= recipes | {'derain', 'adapt', 'attend', 'joint', 'stage', '---'}


def test_every_key_of_a_data_set_is_there():
    rows = rows_of(read('ubcn_ros/data/README.md'), 'The YAML of a data set')
    assert {key for row in rows for key in re.findall('`(.*?)`', row[0])} == set(FORMS)


def test_every_format_is_there_with_its_keys():
    rows = {row[0].strip('`'): row[2] for row in rows_of(read('ubcn_ros/data/README.md'),
                                                         'Other layouts')}
    assert set(rows) == set(FORMATS)
    for name, cell in rows.items():
        if name != 'own':
            assert set(re.findall('`(.*?)`', cell)) == FORMATS[name].keys, name


def write_pairs(root, images, masks, suffixes=('.jpg', '.png'), stored=(0, 1, 255)):
    for folder in images:
        write_image(root / folder / f'a{suffixes[0]}', np.full((40, 48, 3), 90, np.uint8))
        depth = root / folder.replace('images', 'depth', 1) / 'a.png'
        depth.parent.mkdir(parents=True)
        assert cv2.imwrite(str(depth), np.full((40, 48), 2560, np.uint16))
    for folder in masks:
        mask = np.resize(np.array(stored, np.uint8), (40, 48))
        write_image(root / folder / f'a{suffixes[1]}', mask)


@pytest.mark.parametrize(('place', 'images', 'masks', 'suffixes', 'stored'), [
    ('Your own classes in two commands', ('images/train', 'images/val'),
     ('masks/train', 'masks/val'), ('.jpg', '.png'), (0, 6, 255)),
    ('The YAML of a data set', ('images/day', 'images/dusk', 'images/val', 'images/test'),
     ('masks/day', 'masks/dusk', 'masks/val', 'masks/test'), ('_rgb.jpg', '_mask.png'),
     (1, 27, 4, 254, 255)),
    ('Several sets', ('images',), ('masks',), ('.jpg', '.png'), (0, 3, 255))])
def test_the_examples_of_data_sets_are_read_as_they_stand(tmp_path, place, images, masks, suffixes,
                                                          stored):
    section = re.search(rf'^#+ {place}\n(.*?)(?=^#+ |\Z)', read('ubcn_ros/data/README.md'),
                        re.MULTILINE | re.DOTALL)[1]
    (text,) = [block for language, block in FENCE.findall(section) if language == 'yaml']
    root = tmp_path / 'set'
    write_pairs(root, images, masks, suffixes, stored)
    (root / 'lists').mkdir()
    (root / 'lists' / 'test.txt').write_text('images/test/a_rgb.jpg\n')
    file = tmp_path / 'my.yaml'
    file.write_text(re.sub(r'^path: \S+', f'path: {root}', text, flags=re.MULTILINE))
    dataset = open_dataset(file)
    assert dataset.label_set is not None and 'train' in dataset.splits
    for split in dataset.splits:
        scenes, problems = dataset.listing(split)
        assert scenes and not problems
        assert set(np.unique(scenes[0].labels())) > {255}
