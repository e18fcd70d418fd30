"""Training and evaluation of one network."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm  # type: ignore[import-untyped]

from sw.nn import ScoreHead
from sw.train.augment import augment
from sw.train.data import Dataset
from sw.train.recipes import Recipe

__all__ = ["EpochResult", "evaluate", "train"]

EVALUATION_BATCH = 500


class EpochResult(NamedTuple):
    """An epoch's number from 1, its mean loss, and the fraction of its (augmented) images that were right."""

    epoch: int
    loss: float
    train_accuracy: float


def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Fraction of images ``uint8 (N, C, H, W)`` whose highest score has the label; sets eval mode."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for batch, expected in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH)):
            right += int((model(batch).argmax(1) == expected).sum())
    return right / len(images)


def train(model: nn.Module, recipe: Recipe, dataset: Dataset, *, seed: int,
          after_epoch: Callable[[EpochResult], None] = lambda result: None, progress: bool = True) -> None:
    """Train ``model`` in place for ``recipe.epochs``; the last epoch's weights are the result.

    ``seed`` fixes the order of images and their augmentation (the model's initial weights are the caller's);
    ``after_epoch`` is called at the end of each epoch with the model in training mode. The same call on the
    same machine with the same number of threads gives the same weights.
    """
    images, labels = dataset.train_images, dataset.train_labels
    generator = torch.Generator().manual_seed(seed)
    # A last batch of one image is left out: batch norm needs two.
    batches = (len(images) + recipe.batch_size - 2) // recipe.batch_size
    optimizer = _optimizer(model, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, _warmup_cosine(round(recipe.warmup_epochs * batches), recipe.epochs * batches))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        loss_sum = right = 0.0
        bar = tqdm(order.split(recipe.batch_size)[:batches], desc=f"epoch {epoch}/{recipe.epochs}",
                   unit="batch", leave=False, disable=not progress)
        for chosen in bar:
            batch = augment(images[chosen], generator, flip=recipe.flip, shift=recipe.shift)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                logits = model(batch).float()
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(chosen)
            right += float((logits.argmax(1) == labels[chosen]).sum())
        after_epoch(EpochResult(epoch, loss_sum / len(images), right / len(images)))


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam; score offsets, which are in units of integer sums, step as if they were in units of logits."""
    heads = [module for module in model.modules() if isinstance(module, ScoreHead)]
    offsets = {id(head.offset) for head in heads}
    groups: list[dict[str, object]] = [
        {"params": [parameter for parameter in model.parameters() if id(parameter) not in offsets]}]
    groups += [{"params": [head.offset], "lr": recipe.learning_rate / head.scale} for head in heads]
    return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=True)


def _warmup_cosine(warmup: int, total: int) -> Callable[[int], float]:
    """Learning rate factor by step: linear up to 1 over ``warmup`` steps, then a half cosine to 0."""
    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, total - warmup))
    return factor
