"""One training from its data to its files: checkpoint, log, and the state that an interruption leaves."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]

from sw import models
from sw.errors import CompileError
from sw.nn.fixed import check_trainable
from sw.quantise import CALIBRATION_IMAGES, calibrate
from sw.train import checkpoint, data, log, state
from sw.train.loop import EpochResult, Training, evaluate, total_epochs
from sw.train.recipes import Recipe

__all__ = ["Task", "find_device", "fitted", "run"]


@dataclass(frozen=True)
class Task:
    """What to train, on what, and where to; the fields are the options of ``python -m sw.train``.

    ``device`` is "cpu" or "cuda". Raises ``CompileError`` for values that no data set or machine could make right.
    """

    recipe: Recipe
    out: Path
    data: str = "fashion-mnist"
    data_dir: Path | None = None
    image_size: tuple[int, int] | None = None
    limit: int | None = None
    seed: int = 1
    teacher: Path | None = None
    fine_tune: Path | None = None
    resume: bool = False
    evaluate_every: int = 5
    device: str = "cpu"
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.out.suffix != ".safetensors" or self.out.is_dir():
            raise CompileError(f"--out must name a file ending in .safetensors, not {self.out}")
        if not 0 <= self.seed < 1 << 63:
            raise CompileError(f"--seed must be at least 0 and below 2^63, not {self.seed}")
        if self.evaluate_every < 1:
            raise CompileError(f"--evaluate-every must be at least 1, not {self.evaluate_every}")
        if self.teacher is None and self.recipe.distillation:
            raise CompileError(
                f"distillation {self.recipe.distillation:g} needs --teacher FILE; make one with python -m sw.train "
                f"--model teacher --data {self.data} --out teacher.safetensors, or give --distillation 0")
        if self.teacher is not None and not self.recipe.distillation:
            raise CompileError("--teacher means nothing with distillation 0; give --distillation up to 1, or leave it "
                               "out")
        if (self.fine_tune is None) != (self.recipe.word_bits == 0):
            raise CompileError(f"words of {self.recipe.word_bits} bits and --fine-tune {self.fine_tune}: a checkpoint "
                               f"is fine-tuned with --word-bits from 4 to 16, and nothing else is trained with words")
        if self.compiled and self.recipe.word_bits:
            raise CompileError("--compile is for training with real values; leave it out with --fine-tune")
        if self.compiled and not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))):
            raise CompileError("--compile needs a C++ compiler, and there is none; install g++, or leave it out")
        for name in ("teacher", "fine_tune"):
            path = getattr(self, name)
            if path is not None and path.resolve() == self.out.resolve():
                raise CompileError(f"--out must be another file than --{name.replace('_', '-')}, not {self.out}")

    @property
    def state_path(self) -> Path:
        """Where the state of an unfinished training is."""
        return self.out.with_suffix(".state")

    @property
    def log_path(self) -> Path:
        """Where the log is."""
        return self.out.with_suffix(".csv")


def find_device(name: str) -> str:
    """"cpu" or "cuda": ``name`` itself, or for "auto" the GPU if there is one. Raises ``CompileError`` for others."""
    if name not in ("auto", "cpu", "cuda"):
        raise CompileError(f"--device must be one of cpu, cuda, auto, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise CompileError("--device cuda: PyTorch finds no GPU here; leave it out to train on the CPU")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def fitted(recipe: Recipe, dataset: data.Dataset) -> Recipe:
    """``recipe`` with the options ``image`` and ``classes`` of the data, where its model has them and it does not."""
    known = models.options(recipe.model)
    found = {"image": tuple(dataset.train_images.shape[1:]), "classes": dataset.classes}
    return replace(recipe, options={**{key: found[key] for key in found if key in known}, **recipe.options})


def run(task: Task, progress: bool = True) -> None:
    """Train and write ``task.out`` and the log after every epoch; the state file lies there until the last.

    ``progress`` shows a bar in an epoch. Raises ``CompileError`` and ``OSError``; what is wrong with the task or with
    a state to go on from is said before anything is written.
    """
    if task.state_path.exists() and not task.resume:
        raise CompileError(f"{task.state_path} is left from a training that was interrupted; give --resume to go on "
                           f"with it, or remove it to train anew")
    saved = state.load(task.state_path) if task.resume else None
    dataset = data.load(task.data, task.data_dir, task.image_size)
    recipe = fitted(task.recipe, dataset)
    dataset = _limited(dataset, task.limit)
    torch.manual_seed(task.seed)
    model = _built(recipe) if task.fine_tune is None else _trained(task, task.fine_tune)
    classes = _check_fit(model, recipe, dataset)
    if recipe.word_bits:
        check_trainable(model)
        images = dataset.train_images[:CALIBRATION_IMAGES]
        fixed = calibrate(model, images, recipe.word_bits, recipe.word_fraction or None)
        recipe = replace(recipe, word_fraction=fixed.fraction)
    teacher, teacher_sha256 = _teacher(task, dataset, classes)
    versions = {"torch": version("torch"), "threads": str(torch.get_num_threads()), "device": task.device,
                **({"compiled": "yes"} if task.compiled else {})}
    metadata = checkpoint.Metadata(
        recipe=recipe, data=task.data, seed=task.seed, epochs_done=0, versions=versions, limit=task.limit,
        image_size=task.image_size, teacher_sha256=teacher_sha256)
    if task.device == "cuda":
        torch.backends.cudnn.deterministic = True
    model.to(task.device)
    training = Training(model, recipe, dataset, seed=task.seed, compiled=task.compiled,
                        teacher=None if teacher is None else teacher.to(task.device))
    identity = {**_identity(metadata, dataset), "fine_tune_sha256": _digest(task.fine_tune)}
    rows: list[log.Row] = []
    if saved is not None:
        rows = saved.resume(training, identity)
    task.out.parent.mkdir(parents=True, exist_ok=True)
    weights = sum(parameter.numel() for parameter in model.parameters())
    method = f" with {recipe.options['method']}" if "method" in recipe.options else ""
    if recipe.word_bits:
        method += f", as words of {recipe.word_bits} bits, {recipe.word_fraction} of them behind the point"
    tqdm.write(f"{recipe.model}{method}: {weights} parameters, seed {task.seed}, {total_epochs(recipe)} epochs of "
               f"{len(dataset.train_images)} images of {task.data} on {task.device}"
               + f", {len(rows)} of them done before" * bool(rows))
    _Files(task, training, metadata, dataset, identity, rows).follow(progress)
    tqdm.write(f"wrote {task.out}")


@dataclass(frozen=True)
class _Files:
    """The files of one training, and the lines that it prints."""

    task: Task
    training: Training
    metadata: checkpoint.Metadata
    dataset: data.Dataset
    identity: Mapping[str, Any]
    rows: list[log.Row]

    def follow(self, progress: bool) -> None:
        """Train to the end, with files and a line after each epoch."""
        total = total_epochs(self.training.recipe)
        started = before = time.monotonic()
        already = self.training.epochs_done
        for result in self.training.run(progress):
            seconds = time.monotonic() - before
            last = result.epoch == total
            accuracy = None
            if last or result.epoch % self.task.evaluate_every == 0:
                accuracy = evaluate(self.training.model, self.dataset.test_images, self.dataset.test_labels)
            self.rows.append(log.Row(result.epoch, result.loss, result.train_accuracy, accuracy, result.learning_rate,
                                     seconds))
            self._write(result, accuracy, last)
            before = time.monotonic()
            left = (before - started) / (result.epoch - already) * (total - result.epoch)
            tqdm.write(f"epoch {result.epoch}/{total}{' (real weights)' * result.real_weights}: "
                       f"loss {result.loss:.4f}, training accuracy {result.train_accuracy:.2%}"
                       + (f", test accuracy {accuracy:.2%}" if accuracy is not None else "")
                       + f", {left / 60:.0f} min left")

    def _write(self, result: EpochResult, accuracy: float | None, last: bool) -> None:
        # The state comes last: what was written before it is written again, the same, by a training that goes on.
        # That of a checkpoint is of its binary weights and of real values between them.
        measured = None if result.real_weights or self.metadata.recipe.word_bits else accuracy
        checkpoint.save(self.task.out, self.training.model,
                        replace(self.metadata, epochs_done=result.epoch, test_accuracy=measured))
        log.save(self.task.log_path, self.rows)
        if last:
            self.task.state_path.unlink(missing_ok=True)
        else:
            state.save(self.task.state_path, self.identity, self.training.state(), self.rows)


def _built(recipe: Recipe) -> nn.Module:
    try:
        return models.build(recipe.model, **recipe.options)
    except ValueError as error:  # of a layer's constructor
        raise CompileError(f"{recipe.model}: {error}") from None


def _trained(task: Task, path: Path) -> nn.Module:
    """The model of a checkpoint. Raises ``CompileError`` if it was trained on other data."""
    model, trained = checkpoint.load(path)
    if trained.data != task.data:
        raise CompileError(f"{path} was trained on {trained.data}, not on {task.data}; give --data {trained.data}")
    return model


def _digest(path: Path | None) -> str | None:
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def _limited(dataset: data.Dataset, limit: int | None) -> data.Dataset:
    images = len(dataset.train_images)
    if limit is not None and not 2 <= limit <= images:
        raise CompileError(f"--limit must be from 2 to {images}, the training images that there are, not {limit}")
    return dataset if limit is None else data.subset(dataset, limit)


def _check_fit(model: nn.Module, recipe: Recipe, dataset: data.Dataset) -> int:
    """The classes of a model. Raises ``CompileError`` unless it takes the images and has a score for every class."""
    size = tuple(dataset.train_images.shape[1:])
    # Some models would take other images too, and be exported for the wrong size.
    if recipe.options.get("image", size) != size:
        raise CompileError(f"the model does not take the data's images of {size}; give --option image="
                           f"{json.dumps(size)}")
    with torch.inference_mode():
        classes = int(model.eval()(dataset.train_images[:1]).shape[1])
    if classes < dataset.classes:
        raise CompileError(f"the model has {classes} classes and the data {dataset.classes}; give --option "
                           f"classes={dataset.classes}")
    return classes


def _teacher(task: Task, dataset: data.Dataset, classes: int) -> tuple[nn.Module | None, str | None]:
    """The teacher and the SHA-256 of its file. Raises ``CompileError`` unless it is one for the same images."""
    if task.teacher is None:
        return None, None
    teacher, trained = checkpoint.load(task.teacher)
    options = {**models.options(trained.recipe.model), **trained.recipe.options}
    found = tuple(options["image"]), options["classes"], trained.data
    wanted = tuple(dataset.train_images.shape[1:]), classes, task.data
    if found != wanted:
        raise CompileError(
            f"teacher {task.teacher} takes images of {found[0]} in {found[1]} classes of {found[2]}, and this training "
            f"has {wanted[0]} in {wanted[1]} classes of {wanted[2]}; train one on the same data")
    return teacher, _digest(task.teacher)


def _identity(metadata: checkpoint.Metadata, dataset: data.Dataset) -> dict[str, Any]:
    """By name, all that must be equal for a training to go on with the same result."""
    fields = asdict(metadata)
    return {
        **fields.pop("recipe"), **fields.pop("versions"),
        **{key: fields[key] for key in ("data", "limit", "image_size", "seed", "teacher_sha256")},
        "sha256 of the images": dataset.sha256(),
    }
