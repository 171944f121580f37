# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stacks are replaced where masks have zeros, timed with such masks, and have a way back."""

import copy
import json
import sys

import pytest
import torch
from torch import nn

from ubcn_ros.network.attention import SAM, PathStacks, SAMConfig
from ubcn_ros.runtime.backends.graph_recorder import GraphRecorder
from ubcn_ros.runtime.kernels.autotune import Autotuner
from ubcn_ros.runtime.kernels.choices import KernelChoices
from ubcn_ros.runtime.kernels.fused_stacks import FusedStacks, fuse_stacks, random_masks
from ubcn_ros.runtime.optimize import prepare
from ubcn_ros.runtime.sparse_attention import CELL, SparseStacks, reached


def sam_of(paths: int = 3, **options) -> SAM:
    """Give a SAM whose biases and last convolution, zero at the start, have values."""
    torch.manual_seed(3)
    sam = SAM(SAMConfig(**{'blocks': 2, 'path_threshold': 0.1} | options), paths)
    for name, parameter in sam.named_parameters():
        if parameter.ndim == 1 or name == 'tail.1.weight':
            nn.init.normal_(parameter, std=0.3)
    return sam.eval().requires_grad_(False)


def by_cells(features, masks, weights, biases, zeros, dilations):
    """Stacks from packed weights by the form for CPUs: a candidate for every machine."""
    stacks = PathStacks(SAMConfig(32, len(dilations), dilations=dilations,
                                  share_paths=weights.shape[1] == 1), masks.shape[1])
    for path, stack in enumerate(stacks.stacks):
        convs = [conv for block in stack for conv in (block.conv1, block.conv2)]
        for layer, conv in enumerate(convs):
            conv.weight.data = weights[layer, path].unflatten(0, (3, 3)).permute(3, 2, 0, 1)
            conv.bias.data = biases[layer, path]
    assert zeros.shape[0] == 2 * len(dilations) + 1 and not zeros[0].any()
    return SparseStacks(stacks.requires_grad_(False))(features, masks)


def failing(*_):
    raise RuntimeError('no such instruction')


def on_cpu(choice: str = 'cells', **options) -> Autotuner:
    return Autotuner('cpu', (torch.float32,), lambda *_: choice, **options)


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Give features and masks of three paths."""
    masks = random_masks(torch.empty(1, 3, 40, 50), torch.Generator(), 0.1)
    return torch.randn(1, 32, 40, 50), masks


@pytest.mark.parametrize('options', [{}, {'share_paths': False, 'dilations': (2, 1)}])
def test_replaced_stacks_run_the_candidate_chosen(options):
    network = nn.Sequential(sam_of(**options))
    plain = copy.deepcopy(network)
    autotuner = on_cpu()
    assert fuse_stacks(network, autotuner, {'cells': by_cells}) == 1
    assert fuse_stacks(network, autotuner, {}) == 0, 'none is left'
    assert network.state_dict().keys() == plain.state_dict().keys()
    image, previous = torch.rand(2, 1, 3, 41, 50)
    paths = (5 * torch.randn(1, 3, 10, 12)).softmax(1)
    torch.testing.assert_close(network[0](image, previous, paths),
                               plain[0](image, previous, paths), rtol=1e-4, atol=1e-4)
    assert list(autotuner.chosen.values()) == ['cells']


def test_answers_to_zeros_are_those_of_the_stacks():
    sam = sam_of(dilations=(1, 2))
    fused = FusedStacks(sam.path_mixer, 0.1, on_cpu(), {})
    assert fused.zeros.shape == (5, 1, 13, 13, 32)
    size = (1, 32, 20, 31)
    answer = sam.path_mixer(torch.zeros(size), torch.zeros(size)[:, :1])
    rows, columns = (torch.tensor([*range(6), *[6] * (side - 12), *range(7, 13)])
                     for side in size[2:])
    torch.testing.assert_close(answer[0], fused.zeros[-1, 0][rows][:, columns].permute(2, 0, 1))


def test_a_candidate_that_fails_gives_way_to_the_reference(caplog):
    sam = sam_of()
    plain = copy.deepcopy(sam)
    fuse_stacks(sam, on_cpu('failing'), {'failing': failing})
    features, masks = inputs()
    for _ in range(2):
        assert torch.equal(sam.path_mixer(features, masks), plain.path_mixer(features, masks))
    record, = caplog.records
    assert 'no such instruction' in record.getMessage()


def test_reference_where_candidates_do_not_apply():
    sam = sam_of()
    plain = copy.deepcopy(sam)
    autotuner = on_cpu('failing')
    fuse_stacks(sam, autotuner, {'failing': failing})
    features, masks = inputs()
    traced = torch.jit.trace(sam.path_mixer, (features, masks), check_trace=False)
    assert torch.equal(traced(features, masks), plain.path_mixer(features, masks))
    code = torch.compile(sam.path_mixer, backend='eager', fullgraph=True)
    assert torch.equal(code(features, masks), plain.path_mixer(features, masks))
    small = features[..., :8, :], masks[..., :8, :]  # less than the rim of nine pixels
    assert torch.equal(sam.path_mixer(*small), plain.path_mixer(*small))
    learning = features.clone().requires_grad_()
    sam.path_mixer(learning, masks).sum().backward()
    assert learning.grad is not None
    seen = []
    sam.path_mixer.stacks[0][1].conv2.register_forward_hook(lambda *_: seen.append(1))
    sam.path_mixer(features, masks)
    assert seen == [1] * 3, 'whoever watches the convolution sees it'
    assert not autotuner.chosen, 'nothing was tried'


@pytest.mark.parametrize('options', [
    {'path_threshold': 0.0}, {'channels': 16}, {'form': 'trunk'}, {'uniform_masks': True},
    {'blocks': 0}, {'dilations': (CELL + 1,)}])
def test_replaces_only_what_gains(options):
    sam = sam_of(**options)
    kind = type(sam.path_mixer)
    assert fuse_stacks(sam, on_cpu(), {'cells': by_cells}) == 0
    assert type(sam.path_mixer) is kind


def test_timed_with_masks_that_have_zeros_and_kept(tmp_path):
    path = tmp_path / 'choices.json'
    seen = []

    def choose(reference, candidates, example, operation):
        seen.append(operation)
        candidates['cells'](example)
        return 'cells'

    def watching(features, masks, *operands):
        seen.append(float((masks == 0).float().mean()))
        return by_cells(features, masks, *operands)

    sam = sam_of()
    autotuner = Autotuner('cpu', (torch.float32,), choose, KernelChoices(path))
    fuse_stacks(sam, autotuner, {'cells': watching})
    features, _ = inputs()
    full = torch.ones(1, 3, *features.shape[-2:])
    for _ in range(2):
        sam.path_mixer(features, full)
    assert seen[0] == "SAM's stacks" and 0.3 < seen[1] < 0.67, 'at least one path of three stays'
    assert seen[2:] == [0, 0], 'frames have their own masks, and nothing is timed again'
    (kind, name), = json.loads(path.read_text()).items()
    assert 'stacks' in kind and name == 'cells'


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_random_masks_are_thresholded_probabilities(memory_format):
    like = torch.empty(2, 10, 96, 192, dtype=torch.bfloat16).to(memory_format=memory_format)
    masks = random_masks(like, torch.Generator().manual_seed(1), 0.02)
    assert masks.stride() == like.stride() and masks.dtype == like.dtype
    assert not torch.equal(masks[0], masks[1])
    kept = masks[masks > 0].float()
    assert kept.min() >= 0.0195
    assert ((masks.float().sum(1) - 1).abs() < 0.2).all()


def test_random_masks_reach_as_many_tiles_as_is_said():
    """The number in the docstring of ``random_masks``, which a benchmark is read by."""
    masks = random_masks(torch.empty(1, 10, 1024, 2048), torch.Generator().manual_seed(1), 0.02)
    paths = (reached(masks, [1] * 9, 16) < 9).sum(1).float().mean()
    assert 2.7 < float(paths) < 3.3


def test_all_that_a_candidate_gets_is_on_the_device(simulated_gpu):
    sam = sam_of().to('cuda')
    autotuner = Autotuner('cuda', (torch.float32,), lambda _reference, candidates, x, _operation:
                          (candidates['sum'](x), 'sum')[1])
    fuse_stacks(sam, autotuner, {'sum': lambda features, masks, *weights, dilations=None: (
        features * masks.sum(1, keepdim=True) + sum(w.sum() for w in weights[:3]))})
    features, masks = (x.to('cuda') for x in inputs())
    simulated_gpu.waits.clear()
    assert sam.path_mixer(features, masks).is_cuda
    assert list(autotuner.chosen.values()) == ['sum'] and not simulated_gpu.waits


def test_without_triton_all_stays(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, 'triton', None)
    monkeypatch.delitem(sys.modules, 'ubcn_ros.runtime.kernels.triton_stacks', raising=False)
    sam = sam_of()
    assert fuse_stacks(sam, on_cpu()) == 0
    assert type(sam.path_mixer) is PathStacks
    assert 'triton_stacks is not used' in caplog.text


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_graph_follows_the_masks_on_a_gpu(dtype, caplog):
    pytest.importorskip('triton')
    sam = sam_of(10, blocks=9, path_threshold=0.02)
    exact = copy.deepcopy(sam).to('cuda', dtype).double()
    network = prepare(nn.Sequential(sam), torch.device('cuda'), dtype)
    stacks = network[0].path_mixer
    assert type(stacks) is FusedStacks
    features = torch.randn(2, 32, 200, 300, dtype=dtype).cuda()
    generator = torch.Generator('cuda')
    masks = random_masks(features.new_empty(2, 10, 200, 300), generator, 0.02)
    with torch.inference_mode():
        stacks(features, masks)  # chooses
        assert 'left out' not in caplog.text
        for candidate in stacks._candidates.values():
            result = torch.empty_like(features)
            replay = GraphRecorder(features.device).record(
                lambda result=result, candidate=candidate:
                result.copy_(stacks.run(candidate, features, masks)))
            for fresh in (torch.zeros_like(masks), torch.rand_like(masks),
                          random_masks(masks, generator.manual_seed(9), 0.02)):
                masks.copy_(fresh)
                replay()
                expected = exact.path_mixer(features.double(), masks.double())
                error = result.double() - expected
                tolerance = 5e-3 if dtype == torch.float16 else 5e-2
                assert error.norm() <= tolerance * expected.norm()
                assert torch.equal(result, stacks.run(candidate, features, masks))
