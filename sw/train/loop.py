"""Training and evaluation of one network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]

from sw.errors import CompileError
from sw.nn import Estimator, set_epoch, set_real_weights
from sw.nn.fixed import FixedPoint, check_trainable, set_fixed
from sw.quantise import common_shift, stores_words
from sw.train.augment import augment
from sw.train.data import Dataset
from sw.train.loss import Loss
from sw.train.optimizer import learning_rate_factor, make_optimizer
from sw.train.recipes import Recipe

__all__ = ["EpochResult", "Phase", "Training", "evaluate", "phases", "total_epochs", "train"]

#: Images at a time; their maps stay in the cache.
EVALUATION_BATCH = 100


class EpochResult(NamedTuple):
    """An epoch's number from 1, its mean loss, and the fraction of its (augmented) images that were right.

    ``learning_rate`` is that of its last batch; ``real_weights`` says that it belongs to the first of two steps.
    """

    epoch: int
    loss: float
    train_accuracy: float
    learning_rate: float
    real_weights: bool


@dataclass(frozen=True)
class Phase:
    """A run of epochs with one optimiser: all of the training, or one of its two steps."""

    epochs: int
    weight_decay: float
    real_weights: bool


def phases(recipe: Recipe) -> tuple[Phase, ...]:
    """The phases of a recipe in order; with real weights first where its training has two steps."""
    first = Phase(recipe.real_weight_epochs, recipe.real_weight_decay, True)
    return (first,) * bool(first.epochs) + (Phase(recipe.epochs, recipe.weight_decay, False),)


def total_epochs(recipe: Recipe) -> int:
    """Epochs of all phases."""
    return sum(phase.epochs for phase in phases(recipe))


def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Fraction of images ``uint8 (N, C, H, W)`` whose highest score has the label; sets eval mode."""
    model.eval()
    device = _device(model)
    right = 0
    with torch.inference_mode():
        for batch, expected in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH)):
            right += int((model(batch.to(device)).argmax(1) == expected.to(device)).sum())
    return right / len(images)


def _device(model: nn.Module) -> torch.device:
    """Where the tensors of a model are; the CPU if it has none."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), torch.device("cpu"))


class Training:
    """A training that runs epoch by epoch and that can stop after any and go on from its ``state``.

    ``seed`` fixes the order of images, their augmentation and dropout (the model's initial weights are the caller's).
    Dropout takes PyTorch's own generators, so nothing else may draw from them meanwhile. The model trains in place, on
    the device where its parameters are; ``teacher``, on the same one, is needed if the recipe distils. With words in
    the recipe it trains in integer mode: batch norms keep their statistics, and schedules of gradients stand at their
    end. On the CPU the same calls on the same machine with the same number of threads give the same weights,
    interrupted or not; on a GPU as far as PyTorch's kernels repeat their sums in the same order.

    Raises ``CompileError`` when there is one image only (batch norm needs two), no teacher where one is needed, or no
    gradient in integer mode.

    ``compiled`` has ``torch.compile`` fuse the model's operations, which takes a C++ compiler and a minute at first,
    and rounds a little otherwise. Raises ``CompileError`` then for a gradient that changes from epoch to epoch: each
    epoch would be compiled anew.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, dataset: Dataset, *, seed: int,
                 teacher: nn.Module | None = None, compiled: bool = False):
        if len(dataset.train_images) < 2:
            raise CompileError("the data has one training image; batch norm needs at least two")
        if recipe.word_bits:
            check_trainable(model)
        if compiled:
            _check_compilable(model)
        self.model = model
        self._forward = torch.compile(model) if compiled else model
        self.recipe = recipe
        self.epochs_done = 0
        self._device = _device(model)
        self._images = dataset.train_images.to(self._device)
        self._labels = dataset.train_labels.to(self._device)
        self._loss = Loss(model, recipe, teacher)
        self._generator = torch.Generator().manual_seed(seed)
        # A last batch of one image is left out: batch norm needs two.
        self._batches = (len(self._images) + recipe.batch_size - 2) // recipe.batch_size
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.manual_seed(seed)
        self._begin_phase(self._phase()[0])

    def _phase(self) -> tuple[Phase, int]:
        """The phase of the next epoch, and the number of that epoch in it from 0."""
        epoch = self.epochs_done
        for phase in phases(self.recipe):
            if epoch < phase.epochs:
                return phase, epoch
            epoch -= phase.epochs
        return phase, phase.epochs

    def _begin_phase(self, phase: Phase) -> None:
        self._optimizer = make_optimizer(self.model, self.recipe, phase.weight_decay)
        self._factor = learning_rate_factor(self.recipe, self._batches, phase.epochs)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._factor)

    def run(self, progress: bool = True) -> Iterator[EpochResult]:
        """Train what is left of the recipe and yield after each epoch, with the model in training mode."""
        total = total_epochs(self.recipe)
        while self.epochs_done < total:
            phase, epoch = self._phase()
            if not epoch and self.epochs_done:
                self._begin_phase(phase)
            set_real_weights(self.model, phase.real_weights)
            if self.recipe.word_bits:
                set_epoch(self.model, phase.epochs - 1, phase.epochs)
                self._set_words()
            else:
                set_epoch(self.model, epoch, phase.epochs)
            loss, accuracy = self._epoch(f"epoch {self.epochs_done + 1}/{total}", progress)
            self.epochs_done += 1
            rate = self.recipe.learning_rate * self._factor(self._schedule.last_epoch - 1)
            yield EpochResult(self.epochs_done, loss, accuracy, rate, phase.real_weights)

    def _set_words(self) -> None:
        """Integer mode for the next epoch; raises ``CompileError`` if constants do not fit."""
        fixed = FixedPoint(self.recipe.word_fraction, self.recipe.word_bits)
        set_fixed(self.model, fixed)
        if stores_words(self.model):
            # With one bit for the gains to grow into.
            shift = max(0, common_shift(self.model, self._images[:1]) - 1)
            set_fixed(self.model, replace(fixed, shift=shift))

    def _epoch(self, title: str, progress: bool) -> tuple[float, float]:
        recipe = self.recipe
        mixed = recipe.bfloat16 and not recipe.word_bits  # 8 bits of mantissa hold no sums
        self.model.train()
        order = torch.randperm(len(self._images), generator=self._generator)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        right = torch.zeros((), dtype=torch.int64, device=self._device)
        seen = 0
        for chosen in tqdm(order.split(recipe.batch_size)[:self._batches], desc=title, unit="batch", leave=False,
                           disable=not progress):
            chosen = chosen.to(self._device)
            images = augment(self._images[chosen], self._generator, flip=recipe.flip, shift=recipe.shift)
            labels = self._labels[chosen]
            with torch.autocast(self._device.type, torch.bfloat16, enabled=mixed):
                logits = self._forward(images).float()
            loss = self._loss(images, logits, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self._schedule.step()
            # On the device: a number on the CPU would wait for each batch.
            loss_sum += loss.detach().double() * len(chosen)
            right += (logits.argmax(1) == labels).sum()
            seen += len(chosen)
        return float(loss_sum) / seen, int(right) / seen

    def state(self) -> dict[str, Any]:
        """All that decides the epochs to come: copies on the CPU of tensors, numbers, lists and dicts of them."""
        state = {
            "epochs_done": self.epochs_done, "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(), "schedule": self._schedule.last_epoch,
            "generator": self._generator.get_state(), "torch": torch.get_rng_state(),
        }
        if self._device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._device)
        copied: dict[str, Any] = _copied(state)
        return copied

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a ``state``, which is left as it is, of a training with the same arguments.

        Raises ``KeyError``, ``ValueError``, ``TypeError`` or ``RuntimeError`` for another one's; the training is of no
        use then.
        """
        state = _copied(state)
        self.model.load_state_dict(state["model"])
        self.epochs_done = state["epochs_done"]
        phase, epoch = self._phase()
        self._begin_phase(phase)
        if epoch:  # else the next phase begins anew, as it would have
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.last_epoch = state["schedule"]
        self._generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self._device)


def _check_compilable(model: nn.Module) -> None:
    for name, module in model.named_modules():
        estimator = getattr(module, "estimator", None)
        if isinstance(estimator, Estimator) and estimator.at(0, 2) != estimator.at(1, 2):
            raise CompileError(f"{name}: its gradient changes from epoch to epoch, and each would be compiled anew; "
                               f"train without --compile")


def _copied(value: Any) -> Any:
    """Nested dicts, lists and tuples, with copies on the CPU of the tensors in them, in the same memory format."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return type(value)(map(_copied, value)) if isinstance(value, list | tuple) else value


def train(model: nn.Module, recipe: Recipe, dataset: Dataset, *, seed: int, teacher: nn.Module | None = None,
          after_epoch: Callable[[EpochResult], None] = lambda result: None, progress: bool = True) -> None:
    """Run a whole ``Training``; the last epoch's weights are the result. ``after_epoch`` is called behind each."""
    for result in Training(model, recipe, dataset, seed=seed, teacher=teacher).run(progress):
        after_epoch(result)
