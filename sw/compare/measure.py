"""One job of a comparison: train the network, then measure it as real numbers and as integers."""

import contextlib
import csv
import json
import os
import statistics
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sw.compare.plan import Job
from sw.compile import interface_of
from sw.errors import ArtifactError, CompileError, UnsupportedLayerError
from sw.export import compare
from sw.files import write_atomic
from sw.frontend.torch_import import import_module
from sw.passes import lower
from sw.quantise import CALIBRATION_IMAGES, calibrate
from sw.reference import run as run_reference
from sw.train import checkpoint, data
from sw.train.loop import total_epochs
from sw.train.run import Task
from sw.train.run import run as run_training

__all__ = ["CHECKED_IMAGES", "Result", "load_result", "run_job"]

#: Test images, from the first on, on which PyTorch's integer mode and the integer reference are compared.
CHECKED_IMAGES = 500


@dataclass(frozen=True)
class Integers:
    """A network as integers: words of ``bits`` bits, ``fraction`` of them behind the point, and a common ``shift``.

    ``accuracy`` is the fraction of all test images that the integer reference gets right. In the first ``checked`` of
    them ``scores_differ`` single scores are not those of PyTorch in integer mode. ``refused`` counts the parts that the
    engine does not have.
    """

    accuracy: float
    fraction: int
    bits: int
    shift: int | None
    checked: int
    scores_differ: int
    refused: int


@dataclass(frozen=True)
class Result:
    """What a job found. ``accuracy`` is that of real numbers; ``integers`` is None where there is none: ``problem``.

    ``epoch_seconds`` is the median of its epochs without the tests, ``seconds`` the time of all.
    """

    settings: dict[str, Any]
    model: str
    method: str
    seed: int
    accuracy: float
    integers: Integers | None
    problem: str | None
    epoch_seconds: float
    seconds: float
    threads: int


def load_result(job: Job) -> Result | None:
    """The result of a job that is finished, None of one that is not, or whose file is damaged or of other settings."""
    try:
        values = json.loads(job.result_path.read_text())
        integers = values.pop("integers")
        result = Result(**values, integers=None if integers is None else Integers(**integers))
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return result if result.settings == job.settings else None


def run_job(job: Job, threads: int, progress: bool = False) -> Result:
    """Train, measure, and write the result; what was interrupted goes on.

    Sets the number of PyTorch's threads. Raises ``CompileError`` and ``OSError``.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    task = replace(job.task, resume=job.task.state_path.exists())
    if not _is_trained(task):
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # its lines are of one network
            run_training(task, progress)
    model, metadata = checkpoint.load(task.out)
    if metadata.test_accuracy is None:
        raise ArtifactError(f"{task.out} has no accuracy; remove it to train anew")
    integers, problem = _integers(model, task)
    result = Result(
        settings=dict(job.settings), model=job.model, method=job.method, seed=job.seed, accuracy=metadata.test_accuracy,
        integers=integers, problem=problem, epoch_seconds=_epoch_seconds(task.log_path),
        seconds=time.monotonic() - started, threads=threads)
    write_atomic(job.result_path, json.dumps(asdict(result), indent=1) + "\n")
    return result


def _is_trained(task: Task) -> bool:
    """Whether the training is over, and the interruption was behind it."""
    if task.state_path.exists() or not (task.out.exists() and task.log_path.exists()):
        return False
    try:
        return checkpoint.load(task.out)[1].epochs_done == total_epochs(task.recipe)
    except ArtifactError:
        return False


@cache
def _dataset(name: str, location: Path | None, image_size: tuple[int, int] | None) -> data.Dataset:
    return data.load(name, location, image_size)


def _integers(model: nn.Module, task: Task) -> tuple[Integers | None, str | None]:
    """The integer form of a trained model, or why there is none."""
    dataset = _dataset(task.data, task.data_dir, task.image_size)
    trained_on = dataset if task.limit is None else data.subset(dataset, task.limit)
    _, channels, height, width = dataset.test_images.shape
    try:
        fixed = calibrate(model, trained_on.train_images[:CALIBRATION_IMAGES])
        graph = lower(import_module(model, (height, width, channels), task.out.stem))
    except CompileError as error:
        return None, str(error)
    classes = run_reference(graph, dataset.test_images.permute(0, 2, 3, 1).numpy()).classes
    sample = compare(model, graph, dataset.test_images[:CHECKED_IMAGES], dataset.test_labels[:CHECKED_IMAGES])
    try:
        interface_of(graph)
        refused = 0
    except UnsupportedLayerError as error:
        refused = len(error.reasons)
    right = float((classes == dataset.test_labels.numpy()).mean())
    return Integers(right, fixed.fraction, fixed.bits, fixed.shift, sample.images, sample.scores_differ, refused), None


def _epoch_seconds(log: Path) -> float:
    with log.open(newline="") as file:
        return statistics.median(float(row["seconds"]) for row in csv.DictReader(file))
