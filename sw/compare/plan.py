"""What a comparison trains: its networks with their costs, and a job for each that is different and each seed."""

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sw import models
from sw.compare.options import budget
from sw.errors import CompileError
from sw.models.costs import Costs, costs, units
from sw.models.methods import METHOD_OPTIONS, METHODS, method_for
from sw.train import data
from sw.train.options import chosen_recipe
from sw.train.recipes import Recipe
from sw.train.run import Task, find_device, fitted

__all__ = ["Job", "Network", "Plan", "make_plan"]


@dataclass(frozen=True)
class Job:
    """One training; ``method`` is the first of those that have the same network.

    ``settings`` are all that decides its result, but for the number of threads, in the types of JSON. Files are named
    by them too, so that those of other settings lie beside these.
    """

    model: str
    method: str
    seed: int
    task: Task
    settings: Mapping[str, Any]

    @property
    def result_path(self) -> Path:
        """Where the result is when it is finished."""
        return self.task.out.parents[1] / "results" / f"{self.task.out.stem}.json"


@dataclass(frozen=True)
class Network:
    """A model with a method. Under one budget methods with the same parts are one network, trained as the first."""

    model: str
    method: str
    trained_as: str
    costs: Costs
    units: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Networks in the order asked for, and the jobs of all: first those of the first seed.

    ``budget`` are the settings of training. ``images`` are trained on, of ``all_images``.
    """

    networks: tuple[Network, ...]
    jobs: tuple[Job, ...]
    budget: Mapping[str, Any]
    data: str
    seeds: tuple[int, ...]
    images: int
    all_images: int
    test_images: int
    device: str


def make_plan(given: argparse.Namespace) -> Plan:
    """The plan for ``options.parse``'s result; networks are built and counted, and nothing is written.

    Raises ``CompileError`` for networks that cannot be, and for data or settings that do not fit.
    """
    device = find_device(given.device)
    settings = budget(given)
    if device == "cuda" and given.bfloat16 is None:
        settings["bfloat16"] = True
    dataset = data.load(given.data, given.data_dir, given.image_size)
    all_images = len(dataset.train_images)
    images = all_images if given.limit is None else given.limit
    if not 2 <= images <= all_images:
        raise CompileError(f"--limit must be from 2 to {all_images}, the training images that there are, not {images}")
    known = {"data": given.data, "images": dataset.sha256(), "limit": given.limit, "device": device,
             "teacher": _file_digest(given.teacher), "torch": version("torch")}
    seeds = tuple(range(given.seed, given.seed + given.seeds))
    networks, jobs = [], {}
    for model in given.models:
        for method in given.methods:
            recipe = _recipe(given, model, method, settings, dataset)
            first = _first_alike(recipe)
            network = _network(recipe, first, tuple(dataset.train_images.shape[1:]))
            networks.append(network)
            trained = replace(recipe, options={**recipe.options, "method": first})
            for seed in seeds:
                job = _job(given, trained, seed, device, known)
                jobs[job.task.out] = job
    ordered = sorted(jobs.values(), key=lambda job: job.seed)
    return Plan(tuple(networks), tuple(ordered), settings, given.data, seeds, images, all_images,
                len(dataset.test_images), device)


def _recipe(given: argparse.Namespace, model: str, method: str, settings: Mapping[str, Any],
            dataset: data.Dataset) -> Recipe:
    asked = argparse.Namespace(**{**vars(given), "model": model, "method": method})
    return fitted(replace(chosen_recipe(asked), **settings), dataset)


def _parts(recipe: Recipe, method: str) -> dict[str, str]:
    """All of a method that makes its network and the network's gradients."""
    changes = {name: recipe.options.get(name) for name in METHOD_OPTIONS}
    parts = method_for(method, recipe.model, **changes)
    return {field.name: repr(getattr(parts, field.name)) for field in fields(parts)
            if field.name not in ("summary", "variants")}


def _first_alike(recipe: Recipe) -> str:
    wanted = _parts(recipe, recipe.options["method"])
    return next(name for name in METHODS if _parts(recipe, name) == wanted)


def _network(recipe: Recipe, first: str, image: tuple[int, ...]) -> Network:
    """Build and count a recipe's network, which is trained as the method ``first``. Raises ``CompileError``."""
    method = recipe.options["method"]
    model = models.build(recipe.model, **recipe.options)
    try:
        return Network(recipe.model, method, first, costs(model, image), units(model))
    except (RuntimeError, ValueError):
        raise CompileError(f"{recipe.model} with {method} does not take the data's images of {image}; leave out "
                           f"--option image") from None


def _job(given: argparse.Namespace, recipe: Recipe, seed: int, device: str, known: Mapping[str, Any]) -> Job:
    method = recipe.options["method"]
    settings = json.loads(json.dumps({
        **asdict(recipe), **known, "image_size": given.image_size, "seed": seed, "parts": _parts(recipe, method)}))
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    out = given.out / "networks" / f"{recipe.model}-{method}-seed{seed}-{digest}.safetensors"
    task = Task(recipe=recipe, out=out, data=given.data, data_dir=given.data_dir, image_size=given.image_size,
                limit=given.limit, seed=seed, teacher=given.teacher, evaluate_every=given.evaluate_every, device=device)
    return Job(recipe.model, method, seed, task, settings)


def _file_digest(path: Path | None) -> str | None:
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
