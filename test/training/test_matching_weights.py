# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a network takes from another one, and what starts anew."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ubcn_ros.labels import LabelSet, numbered_labels, paths_of
from ubcn_ros.network import IDMConfig, SAMConfig, UBCNConfig, VeilConfig, build
from ubcn_ros.network.attention import SAM
from ubcn_ros.network.segmentation.base import SegmentationNetwork
from ubcn_ros.network.veil_field import FieldSAM, FieldSAMConfig
from ubcn_ros.runtime.model_info import PARTS
from ubcn_ros.training.matching_weights import (
    init_table,
    path_sources,
    path_weights,
    start_from,
    trained_after,
)

NAMES = ('sky', 'road', 'car', 'tree')


class OneHeadEach(SegmentationNetwork):
    """A network of somebody's own: a head for each class in a list, and one that reads weights."""

    feature_channels = 4

    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.heads = nn.ModuleList(nn.Conv2d(4, 1, 1) for _ in range(num_classes))
        self.scale = float(self.body.weight.detach().abs().max())  # not on the meta device


def labels(names=NAMES, dominant=(0, 1)):
    count = len(names)
    return replace(numbered_labels(count), classes=tuple(names), name='-'.join(names)[:20],
                   paths=paths_of(count, [i for i in dominant if i < count]))


def network(label_set=None, seed=0, **changes):
    torch.manual_seed(seed)
    made = build(UBCNConfig(**{
        'label_set': label_set or labels(), 'derain': IDMConfig(4, 1, 2),
        'attention': FieldSAMConfig(4, 1, 2, form='trunk', veil_channels=4, path_threshold=0.2),
        'segmentation': 'ddrnet23_slim',
        'segmentation_options': {'width': 4, 'stride2_head': True}, **changes}))
    for tensor in made.state_dict().values():  # some start alike, whatever the seed
        tensor.copy_(torch.rand(tensor.shape) * 10)
    return made


def anew(rows):
    return {f'{row.part}.{name}' for row in rows for name in row.anew}


def test_everything_of_the_same_classes_is_taken():
    ours, source = network(), network(seed=1)
    rows = start_from(ours, source)
    assert anew(rows) == set()
    theirs = source.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.state_dict().items())
    assert trained_after(rows, PARTS) == PARTS
    assert trained_after(rows, ['attention', 'derain']) == ('derain', 'attention')
    assert [row.taken_weights for row in rows] == [row.weights for row in rows] == [
        sum(p.numel() for p in getattr(ours, part).parameters()) for part in PARTS]


def test_case_and_blanks_of_names_do_not_count():
    theirs = LabelSet('b', tuple(f'{name.upper()} _-' for name in NAMES), labels().colors,
                      labels().paths)
    rows = start_from(network(), network(theirs, seed=1))
    assert anew(rows) == set() and not any(row.by_path for row in rows)


HEADS = {f'segmentation.{name}.{kind}' for kind in ('weight', 'bias')
         for name in ('classifier', 'auxiliary_head.3', 'stride2_head.1')}


@pytest.mark.parametrize('theirs', [
    ('road', 'sky', 'car', 'tree'), ('sky', 'road', 'car', 'bush'), NAMES + ('bus',), NAMES[:3]])
def test_heads_of_other_classes_start_anew(theirs):
    ours, source = network(), network(labels(theirs), seed=1)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    rows = start_from(ours, source)
    assert {name for name in anew(rows) if name.startswith('segmentation')} == HEADS
    by_path = {f'attention.{name}' for name in rows[2].by_path}
    started, given = anew(rows), source.state_dict()
    for name, tensor in ours.state_dict().items():
        if name not in by_path:
            assert torch.equal(tensor, (before if name in started else given)[name])
    assert 'segmentation' not in trained_after(rows, PARTS)
    assert 'derain' in trained_after(rows, PARTS)


def test_only_the_paths_names_decide_on_what_depends_on_paths():
    same = LabelSet('b', ('road', 'sky', 'car', 'tree'), labels().colors, ((1,), (0,), (3, 2)))
    rows = start_from(network(), network(same))
    assert anew(rows) == HEADS
    assert trained_after(rows, PARTS) == ('derain', 'attention')
    swapped = labels(dominant=(1, 0))  # of the same shapes
    rows = start_from(network(), network(swapped))
    assert not anew(rows) and trained_after(rows, PARTS) == PARTS
    by_path = next(row for row in rows if row.part == 'attention').by_path
    assert {'path_mixer.mix.weight', 'path_mixer.mix.bias'} <= set(by_path)
    assert 'head.0.0.weight' not in by_path


@pytest.mark.parametrize('count', [1, 200])
def test_any_number_of_classes(count):
    names = [f'class {i}' for i in range(count)]
    changes = {'attention': SAMConfig(4, 1, 2, form='trunk')}
    rows = start_from(network(labels(names, range(count)), **changes),
                      network(labels([*names[:-1], 'other'], range(count)), **changes))
    assert anew(rows) >= HEADS


@pytest.mark.parametrize('count', [1, 3])
def test_lists_with_an_entry_for_each_class_or_path(count):
    changes = {'segmentation': f'{__name__}:OneHeadEach', 'segmentation_options': {},
               'attention': SAMConfig(4, 1, share_paths=False)}
    ours = network(labels(NAMES[:count]), **changes)
    varying = anew(start_from(ours, network(labels(['x', 'y', 'z'][:count]), **changes)))
    assert {f'segmentation.heads.{i}.weight' for i in range(count)} < varying
    assert 'segmentation.body.weight' not in varying
    stacks = {f'attention.{name}' for name in ours.attention.state_dict()
              if name.startswith('path_mixer.stacks.')}
    assert stacks and not stacks & varying


def test_the_random_numbers_that_follow_are_the_same():
    ours, source = network(), network(labels(NAMES[:3]))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    start_from(ours, source)
    assert torch.equal(torch.rand(4), expected)


def test_another_preset_gives_what_fits():
    source = network(segmentation='pspnet_resnet50', segmentation_options={},
                     derain=IDMConfig(8, 2, 2), attention=SAMConfig(4, 1, 2))
    rows = start_from(network(), source)
    derain, segmentation, attention = rows
    assert 0 < attention.taken_tensors < attention.tensors
    assert attention.anew['path_mixer.mix.weight'] == 'not in the source'
    assert segmentation.taken_tensors < segmentation.tensors
    assert trained_after(rows, PARTS) == ()
    # a last convolution to three channels of 2x2 pixels has its bias in both
    assert set(derain.anew.values()) == {'another shape'}
    assert derain.taken_tensors <= 3


def test_nothing_is_taken_of_a_part_that_was_never_trained():
    ours, source = network(), network(seed=1)
    rows = start_from(ours, source, trained=['segmentation'])
    assert trained_after(rows, ['segmentation']) == ('segmentation',)
    assert not torch.equal(ours.derain.head[0][0].weight, source.derain.head[0][0].weight)
    assert 'all of it (never trained in the source)' in init_table(rows)


def test_the_table_names_what_starts_anew():
    rows = start_from(network(), network(labels(NAMES[:3]), seed=1))
    derain, segmentation, attention = init_table(rows).splitlines()[2:]
    assert derain.split() == ['derain', *f'{rows[0].tensors} of {rows[0].tensors}'.split(),
                              *f'{rows[0].weights:,} of {rows[0].weights:,}'.split(), '-']
    assert 'classifier, ' in segmentation and '(other classes)' in segmentation
    assert f'{rows[1].tensors - 6} of {rows[1].tensors}' in segmentation
    assert '- (by path: path_mixer.mix, ' in attention
    assert init_table(start_from(network(), network())).count(' -') >= 3


@pytest.mark.parametrize('has', [True, False])
def test_the_veil_is_taken_with_idm(has):
    veil = VeilConfig(4, 0, 2)
    ours, source = network(veil=veil), network(seed=1, veil=veil if has else None)
    rows = start_from(ours, source)
    same = [torch.equal(tensor, source.state_dict().get(name, tensor + 1))
            for name, tensor in ours.veil.state_dict(prefix='veil.').items()]
    assert all(same) if has else not any(same)
    assert ('derain' in trained_after(rows, PARTS)) == has
    assert rows[0].weights == sum(p.numel() for part in (ours.derain, ours.veil, ours.rain_head)
                                  for p in part.parameters())
    assert has or 'veil.down1' in init_table(rows)
    kept = network(seed=2, veil=veil)
    before = kept.veil.field.weight.clone()
    start_from(kept, source, ['segmentation'])
    assert torch.equal(kept.veil.field.weight, before)


VEIL = {'veil_channels': 4, 'veil_texture': 4}
FORMS = [SAMConfig(4, 1, 2, form='trunk'), SAMConfig(4, 1), SAMConfig(4, 1, share_paths=False),
         FieldSAMConfig(4, 1, 2, form='trunk', **VEIL),
         FieldSAMConfig(4, 1, 2, form='trunk', veil_below=True, **VEIL)]


def sam(config, paths, seed):
    torch.manual_seed(seed)
    kind = FieldSAM if isinstance(config, FieldSAMConfig) else SAM
    made = kind(config, paths).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def test_paths_come_from_those_with_a_class_of_the_same_name():
    theirs = labels(('Sky', 'Road', 'Tree', 'Car'), (0, 1))
    ours = labels(('road', 'tram', 'SKY', 'car'), range(4))
    assert path_sources(ours, theirs) == [[1], [0, 1, 2], [0], [2]]


@pytest.mark.parametrize('config', FORMS)
def test_paths_in_another_order_give_the_same_image(config):
    source, ours = sam(config, 3, 1), sam(config, 3, 2)
    order = [[2], [0], [1]]
    ours.load_state_dict({**source.state_dict(), **path_weights(source, order)})
    image, previous = torch.rand(2, 1, 3, 64, 96)
    masks = torch.rand(1, 3, 16, 24).softmax(1)
    with torch.no_grad():
        expected = source(image, previous, masks)
        found = ours(image, previous, masks[:, [2, 0, 1]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('config', [c for c in FORMS if c.form == 'trunk'])
def test_a_path_shared_out_over_two_gives_the_same_image(config):
    source, ours = sam(config, 2, 1), sam(config, 3, 2)
    ours.load_state_dict({**source.state_dict(), **path_weights(source, [[0], [1], [1]])})
    image, previous = torch.rand(2, 1, 3, 64, 96)
    masks = torch.rand(1, 3, 16, 24).softmax(1)
    with torch.no_grad():
        expected = source(image, previous, torch.stack(
            (masks[:, 0], masks[:, 1] + masks[:, 2]), 1))
        found = ours(image, previous, masks)
    torch.testing.assert_close(found, expected)
