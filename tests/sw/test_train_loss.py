"""``sw.train.loss`` against scalars of the ``math`` module."""

import math

import pytest
import torch
from torch import nn

from sw.errors import CompileError
from sw.nn import BinaryLinear
from sw.nn.weights import TrainableScale
from sw.train.loss import Loss
from sw.train.recipes import Recipe

LOGITS = [[0.5, -1.25, 2.0], [-0.75, 0.25, 0.0]]
LABELS = [2, 0]
TEACHER = [[1.0, 0.0, -1.0], [0.5, 3.0, -2.0]]


def softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def cross_entropy(target, logits):
    return -sum(p * math.log(q) for p, q in zip(target, softmax(logits)))


def expected(smoothing, distillation, temperature):
    """Mean over the batch of the loss in the class's docstring."""
    total = 0.0
    for logits, label, teacher in zip(LOGITS, LABELS, TEACHER):
        target = [(1 - smoothing) * (label == k) + smoothing / 3 for k in range(3)]
        soft = cross_entropy(softmax([value / temperature for value in teacher]),
                             [value / temperature for value in logits])
        total += (1 - distillation) * cross_entropy(target, logits) + distillation * temperature**2 * soft
    return total / len(LOGITS)


class Fixed(nn.Module):
    """A teacher that counts its calls and answers wrongly in training mode."""

    calls = 0

    def forward(self, images):
        self.calls += 1
        assert not torch.is_grad_enabled() and len(images) == len(TEACHER)
        return torch.tensor(TEACHER) * (0 if self.training else 1)


def loss_of(recipe, model=None, teacher=None):
    logits = torch.tensor(LOGITS, requires_grad=True)
    images = torch.zeros(2, 1, 1, 1, dtype=torch.uint8)
    return Loss(model or nn.Identity(), recipe, teacher)(images, logits, torch.tensor(LABELS)), logits


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("distillation, temperature", [(0.0, 1.0), (0.4, 1.0), (0.9, 3.0), (1.0, 1.0), (1.0, 4.0)])
def test_loss(smoothing, distillation, temperature):
    recipe = Recipe("mlp", label_smoothing=smoothing, distillation=distillation, temperature=temperature)
    teacher = Fixed()
    loss, _ = loss_of(recipe, teacher=teacher)
    assert loss.item() == pytest.approx(expected(smoothing, distillation, temperature), rel=1e-5)
    assert teacher.calls == (distillation > 0)


def test_labels_are_not_used_with_a_teacher_alone():
    loss, logits = loss_of(Recipe("mlp", distillation=1.0), teacher=Fixed())
    loss.backward()
    for row, teacher, gradient in zip(LOGITS, TEACHER, logits.grad.tolist()):
        assert gradient == pytest.approx([(q - p) / 2 for p, q in zip(softmax(teacher), softmax(row))], abs=1e-6)


def test_penalties_are_added_but_not_of_real_weights():
    model = nn.Sequential(BinaryLinear(3, 2, TrainableScale(2, decay=0.5)), nn.ReLU(),
                          nn.Sequential(BinaryLinear(2, 2, TrainableScale(2, decay=0.25))))
    with torch.no_grad():
        model[0].binarizer.alpha.copy_(torch.tensor([1.0, -3.0]))
        model[2][0].binarizer.alpha.copy_(torch.tensor([2.0, 0.5]))
    plain = expected(0, 0, 1)
    loss, _ = loss_of(Recipe("mlp"), model)
    assert loss.item() == pytest.approx(plain + 0.5 * (1 + 9) + 0.25 * (4 + 0.25), rel=1e-6)
    loss.backward()
    assert model[0].binarizer.alpha.grad.tolist() == [1.0, -3.0]
    model[0].real_weights = True
    assert loss_of(Recipe("mlp"), model)[0].item() == pytest.approx(plain + 0.25 * (4 + 0.25), rel=1e-6)


def test_distillation_needs_a_teacher():
    with pytest.raises(CompileError, match="distillation 0.5 needs a teacher"):
        Loss(nn.Identity(), Recipe("mlp", distillation=0.5))
