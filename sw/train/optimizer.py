"""Optimisers and learning rates of recipes."""

import math
from collections.abc import Callable

import torch
from torch import nn

from sw.nn import ScoreHead
from sw.nn.head import BinaryHead
from sw.train.recipes import Recipe

__all__ = ["learning_rate_factor", "make_optimizer"]


def make_optimizer(model: nn.Module, recipe: Recipe, weight_decay: float) -> torch.optim.Optimizer:
    """The recipe's optimiser of all parameters.

    ``weight_decay`` acts on weights, which have two dimensions or more, and on nothing else. Score offsets, which are
    in units of integer sums, step as if they were in units of logits.
    """
    heads = [module for module in model.modules() if isinstance(module, ScoreHead | BinaryHead)]
    offsets = {id(head.offset) for head in heads}
    others = [parameter for parameter in model.parameters() if id(parameter) not in offsets]
    # A step of Adam does not depend on the unit of a gradient; one of SGD is proportional to it.
    power = 2 if recipe.optimizer == "sgd" else 1
    groups: list[dict[str, object]] = [
        {"params": [parameter for parameter in others if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in others if parameter.ndim <= 1]},
        *({"params": [head.offset], "lr": recipe.learning_rate / head.scale ** power} for head in heads),
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9)
    return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=True)


def learning_rate_factor(recipe: Recipe, batches: int, epochs: int) -> Callable[[int], float]:
    """Factor of the learning rate by step, of which there are ``batches`` in each of ``epochs``.

    It rises linearly to 1 over the warm-up, then falls to 0 on half a cosine or a straight line.
    """
    warmup, total = round(recipe.warmup_epochs * batches), epochs * batches

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, total - warmup)
        return 1 - done if recipe.schedule == "linear" else 0.5 + 0.5 * math.cos(math.pi * done)
    return factor
