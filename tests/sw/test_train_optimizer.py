"""``sw.train.optimizer``: steps against scalars, and the learning rate by step."""

import math

import pytest
import torch
from torch import nn

from sw.nn import BinaryLinear, ScoreHead
from sw.nn.head import BinaryHead
from sw.train.optimizer import learning_rate_factor, make_optimizer
from sw.train.recipes import Recipe


def network():
    return nn.Sequential(BinaryLinear(2, 3), nn.BatchNorm1d(3), nn.PReLU(3), BinaryLinear(3, 2), ScoreHead(2, 0.25))


def step(model, optimizer, gradient):
    """One step with the same gradient in every parameter; returns the parameters before it."""
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()
    return before


def test_sgd_has_momentum_and_decays_weights_alone():
    torch.manual_seed(1)
    model = network()
    optimizer = make_optimizer(model, Recipe("mlp", optimizer="sgd", learning_rate=0.01), weight_decay=0.5)
    velocities = [torch.zeros_like(parameter) for parameter in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    for gradient in (2.0, -1.0, 0.5):
        before = step(model, optimizer, gradient)
        for index, (name, parameter) in enumerate(zip(names, model.parameters())):
            decay = 0.5 if name in ("0.weight", "3.weight") else 0.0
            rate = 0.01 / 0.25**2 if name == "4.offset" else 0.01
            velocities[index] = 0.9 * velocities[index] + gradient + decay * before[index]
            assert torch.allclose(parameter, before[index] - rate * velocities[index], atol=1e-6), name


def test_adam_decays_weights_alone():
    torch.manual_seed(2)
    model = network()
    before = step(model, make_optimizer(model, Recipe("mlp", learning_rate=0.01), weight_decay=100.0), 1e-4)
    for (name, parameter), old in zip(model.named_parameters(), before):
        # The first step of Adam is the learning rate towards the sign of the gradient.
        gradient = 1e-4 + (100 * old if name in ("0.weight", "3.weight") else 0 * old)
        rate = 0.01 / 0.25 if name == "4.offset" else 0.01
        assert torch.allclose(old - parameter, rate * gradient / (gradient.abs() + 1e-8), rtol=1e-4, atol=1e-7), name


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("make", [lambda: ScoreHead(3, 2.0**-5), lambda: BinaryHead(1024, 3, 1)])
def test_offsets_move_as_if_they_were_in_units_of_logits(make, optimizer):
    head = make()
    assert head.scale == 2.0**-5
    reference = nn.Parameter(torch.zeros(3))
    recipe = Recipe("mlp", optimizer=optimizer, learning_rate=0.05)
    ours = make_optimizer(head, recipe, 0.0)
    theirs = make_optimizer(nn.ParameterList([reference]), recipe, 0.0)
    for gradient in (0.5, -2.0, 1.0):
        # d loss / d offset is d loss / d logit times the scale.
        head.offset.grad = torch.full((3,), gradient * head.scale)
        reference.grad = torch.full((3,), gradient)
        ours.step()
        theirs.step()
    assert torch.allclose(head.offset * head.scale, reference, rtol=1e-4)
    assert reference.abs().min() > 0.01


def test_every_parameter_is_in_one_group():
    model = network()
    for name in ("adam", "sgd"):
        groups = make_optimizer(model, Recipe("mlp", optimizer=name), 0.1).param_groups
        found = [id(parameter) for group in groups for parameter in group["params"]]
        assert sorted(found) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("warmup_epochs, batches, epochs", [(0, 7, 3), (1, 7, 3), (0.5, 8, 2), (3, 7, 3), (5, 1, 1)])
def test_learning_rate_factor(schedule, warmup_epochs, batches, epochs):
    recipe = Recipe("mlp", schedule=schedule, warmup_epochs=warmup_epochs)
    factor = learning_rate_factor(recipe, batches, epochs)
    total, warmup = batches * epochs, round(warmup_epochs * batches)
    for index in range(total):
        if index < warmup:
            wanted = (index + 1) / warmup
        else:
            part = (index - warmup) / (total - warmup)
            wanted = 1 - part if schedule == "linear" else (1 + math.cos(math.pi * part)) / 2
        assert factor(index) == pytest.approx(wanted, abs=1e-12)
    if warmup < total:
        assert factor(warmup) == 1 and factor(total) == pytest.approx(0, abs=1e-12)
