# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The moving average follows the weights, lends itself to the network and goes into a file."""

import copy
import signal

import pytest
import torch
from torch import nn

from ubcn_ros.stopping import Stopped, stop_on_signals
from ubcn_ros.training.averaging import MovingAverage


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def shifted(network, by):
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value += by


def test_the_average_is_the_weighted_mean_of_all_steps(network):
    average, expected = MovingAverage(network, 0.5), network[0].weight.detach().clone()
    for step in range(20, 24):
        shifted(network, 1)
        average.update(step)
        expected = 0.5 * expected + 0.5 * network[0].weight.detach()
    torch.testing.assert_close(average.state_dict()['0.weight'], expected)


def test_the_first_steps_do_not_stay_in_it(network):
    average, start = MovingAverage(network, 0.999), network[0].bias.detach().clone()
    shifted(network, 1)
    average.update(1)
    torch.testing.assert_close(average.state_dict()['0.bias'], start + 9 / 11)


def test_the_network_gets_its_own_values_back_bit_for_bit(network):
    average = MovingAverage(network, 0.9)
    shifted(network, 0.1)
    average.update(5)
    own = copy.deepcopy(network.state_dict())
    with pytest.raises(RuntimeError), average.applied():
        for name, value in average.state_dict().items():
            assert torch.equal(network.state_dict()[name], value)
        assert not torch.equal(network.state_dict()['1.running_var'], own['1.running_var'])
        raise RuntimeError
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize('gives_back', [False, True])
def test_stopped_while_values_are_exchanged_it_has_its_own(network, monkeypatch, gives_back):
    """A checkpoint is written then."""
    average, write = MovingAverage(network, 0.9), MovingAverage._write
    shifted(network, 0.1)
    own = copy.deepcopy(network.state_dict())

    def stopped(self, values):
        if (values is not self._values) == gives_back:
            write(self, {**self._network, '0.weight': values['0.weight']})
            signal.raise_signal(signal.SIGTERM)
        write(self, values)
    monkeypatch.setattr(MovingAverage, '_write', stopped)
    with pytest.raises(Stopped), stop_on_signals(), average.applied():
        pass
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())


def test_stopped_before_signals_are_held_it_has_its_own(network, monkeypatch):
    average = MovingAverage(network, 0.9)
    shifted(network, 0.1)
    own = copy.deepcopy(network.state_dict())

    def stopped():
        raise Stopped(signal.SIGTERM)
    monkeypatch.setattr('ubcn_ros.training.averaging.signals_held', stopped)
    with pytest.raises(Stopped), average.applied():
        pass
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())


def test_the_state_goes_to_another_average(network):
    average = MovingAverage(network, 0.9)
    shifted(network, 1)
    average.update(3)
    other = MovingAverage(copy.deepcopy(network), 0.9)
    other.load_state_dict(average.state_dict())
    assert all(torch.equal(value, other.state_dict()[name])
               for name, value in average.state_dict().items())
    with pytest.raises(KeyError):
        other.load_state_dict({})
