"""The rows of a comparison, and the files that show them: JSON and Markdown."""

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from sw.compare.measure import Result
from sw.compare.plan import Network, Plan
from sw.quantise import CALIBRATION_IMAGES
from sw.train.loop import total_epochs
from sw.train.recipes import recipe_for

__all__ = ["SCHEMA", "Row", "Spread", "as_json", "as_markdown", "counted", "rows"]

#: Version of the JSON's fields.
SCHEMA = 1


@dataclass(frozen=True)
class Spread:
    """Of a value over seeds; ``deviation`` is the sample's, 0 for one seed."""

    mean: float
    least: float
    most: float
    deviation: float


@dataclass(frozen=True)
class Row:
    """A network with what its trainings found; ``trained_as`` is the method whose network it is.

    ``accuracy`` is a fraction of all test images, ``integer_accuracy`` the same in integer mode, None where a training
    has no integers: ``problems``. ``scores_differ`` counts, over all seeds, scores of ``checked`` images in which
    PyTorch and the integer reference differ. ``relative_time`` is that of an epoch, 1 for the model's fastest, None
    where not all had the same number of threads. ``engine_runs`` says that today's engine refuses no part of it, and
    ``published_epochs`` is what the method's own recipe has.
    """

    model: str
    method: str
    trained_as: str
    seeds: tuple[int, ...]
    accuracy: Spread
    integer_accuracy: Spread | None
    problems: tuple[str, ...]
    checked: int
    scores_differ: int
    binary_weights: int
    multi_bit_weights: int
    real_parameters: int
    binary_macs: int
    multi_bit_macs: int
    ops: float
    epoch_seconds: float
    relative_time: float | None
    units: tuple[str, ...]
    engine_runs: bool
    published_epochs: int


def rows(networks: Sequence[Network], results: Sequence[Result]) -> tuple[Row, ...]:
    """One for each network that has a result, in their order."""
    found = []
    for network in networks:
        trained = [result for result in results
                   if (result.model, result.method) == (network.model, network.trained_as)]
        if trained:
            others = [result for result in results if result.model == network.model]
            found.append(_row(network, sorted(trained, key=lambda result: result.seed), others))
    return tuple(found)


def _row(network: Network, trained: Sequence[Result], others: Sequence[Result]) -> Row:
    integers = [result.integers for result in trained if result.integers is not None]
    complete = len(integers) == len(trained)
    seconds = _mean_seconds(trained)
    fastest = min(_mean_seconds([other for other in others if other.method == method])
                  for method in {other.method for other in others})
    comparable = len({other.threads for other in others}) == 1 and fastest > 0
    return Row(
        model=network.model, method=network.method, trained_as=network.trained_as,
        seeds=tuple(result.seed for result in trained), accuracy=_spread([result.accuracy for result in trained]),
        integer_accuracy=_spread([each.accuracy for each in integers]) if complete else None,
        problems=tuple(f"seed {result.seed}: {result.problem}" for result in trained if result.problem),
        checked=sum(each.checked for each in integers), scores_differ=sum(each.scores_differ for each in integers),
        **asdict(network.costs), ops=network.costs.ops, epoch_seconds=seconds,
        relative_time=seconds / fastest if comparable else None, units=network.units,
        engine_runs=complete and not any(each.refused for each in integers),
        published_epochs=total_epochs(recipe_for(network.model, network.method)))


def _mean_seconds(results: Sequence[Result]) -> float:
    return statistics.fmean(result.epoch_seconds for result in results)


def _spread(values: Sequence[float]) -> Spread:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return Spread(statistics.fmean(values), min(values), max(values), deviation)


def as_json(plan: Plan, found: Sequence[Row], results: Sequence[Result], command: str) -> str:
    """Everything, with the command, the versions of the tools, and each training."""
    return json.dumps({
        "schema": SCHEMA, "command": command, "versions": _versions(), "data": plan.data, "seeds": plan.seeds,
        "images": plan.images, "all_images": plan.all_images, "test_images": plan.test_images, "device": plan.device,
        "budget": dict(plan.budget), "trainings": {"done": len(results), "planned": len(plan.jobs)},
        "rows": [asdict(row) for row in found], "results": [asdict(result) for result in results],
    }, indent=1) + "\n"


def _versions() -> Mapping[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "torch")}}


def as_markdown(plan: Plan, found: Sequence[Row], results: Sequence[Result], command: str) -> str:
    """What a reader needs to judge the comparison: how it was made, and for each model two tables."""
    blocks = [f"# Methods compared on {plan.data}", f"    {command}", _budget(plan, found, results)]
    for model in dict.fromkeys(row.model for row in found):
        of_model = [row for row in found if row.model == model]
        blocks += [f"## {model}", _table(_RESULTS, [_result_cells(row) for row in of_model]),
                   _table(_HARDWARE, [_hardware_cells(row) for row in of_model])]
        blocks += [f"- {row.method}, {problem}" for row in of_model for problem in row.problems]
    return "\n\n".join([*blocks, _notes(plan, found)]) + "\n"


def _budget(plan: Plan, found: Sequence[Row], results: Sequence[Result]) -> str:
    budget: Mapping[str, Any] = plan.budget
    shift = budget["shift"]
    moves = ["flips"] * budget["flip"] + [f"shifts by up to {counted(shift, 'pixel')}"] * bool(shift)
    extras = [f"first {budget['real_weight_epochs']} epochs with real weights"] * bool(budget["real_weight_epochs"])
    extras += [f"distillation {budget['distillation']:g} of a teacher"] * bool(budget["distillation"])
    extras += ["bfloat16"] * budget["bfloat16"]
    published = sorted(row.published_epochs for row in found)
    unfinished = f" {len(results)} of {len(plan.jobs)} trainings are done." if len(results) < len(plan.jobs) else ""
    threads = " or ".join(counted(count, "thread") for count in sorted({result.threads for result in results}))
    return (
        f"Each network has the same budget: {counted(budget['epochs'], 'epoch')} of {plan.images:,} of "
        f"{plan.all_images:,} training images, batches of {budget['batch_size']}, {budget['optimizer']} with a "
        f"learning rate of "
        f"{budget['learning_rate']:g} ({budget['schedule']}, warm-up {budget['warmup_epochs']:g}), weight decay "
        f"{budget['weight_decay']:g}, {' and '.join(moves) or 'no augmentation'}"
        + "".join(f", {extra}" for extra in extras)
        + f"; seed{'s' * (len(plan.seeds) > 1)} {', '.join(map(str, plan.seeds))}. Only the parts of "
        f"networks, gradient estimators and their schedules differ. The recipes of these methods for these models have "
        f"{published[0]} to {published[-1]} epochs of all images. Accuracy is on all {plan.test_images:,} test "
        f"images: mean (least to most).{unfinished} PyTorch {version('torch')} on {plan.device}, "
        f"{threads} a training.")


def counted(number: int, what: str) -> str:
    """The number with its noun: "1 seed", "2,000 images"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *lines))


_RESULTS = ("method", "accuracy", "integer", "scores that differ", "binary weights", "multi-bit weights",
            "real parameters", "binary MACs", "OPs", "time")
_HARDWARE = ("method", "hardware beyond array, thresholds and pools", "today's engine")


def _name(row: Row) -> str:
    return row.method if row.method == row.trained_as else f"{row.method} (as {row.trained_as})"


def _percent(spread: Spread | None, seeds: int) -> str:
    if spread is None:
        return "none"
    limits = f" ({100 * spread.least:.2f} to {100 * spread.most:.2f})" if seeds > 1 else ""
    return f"{100 * spread.mean:.2f} %{limits}"


def _result_cells(row: Row) -> tuple[str, ...]:
    seeds = len(row.seeds)
    return (_name(row), _percent(row.accuracy, seeds), _percent(row.integer_accuracy, seeds), f"{row.scores_differ:,}",
            f"{row.binary_weights:,}", f"{row.multi_bit_weights:,}", f"{row.real_parameters:,}", f"{row.binary_macs:,}",
            f"{row.ops:,.0f}", "-" if row.relative_time is None else f"{row.relative_time:.2f}")


def _hardware_cells(row: Row) -> tuple[str, ...]:
    return _name(row), ", ".join(row.units) or "none", "runs it" if row.engine_runs else "refuses it"


def _notes(plan: Plan, found: Sequence[Row]) -> str:
    checked = max(row.checked for row in found) // max(len(row.seeds) for row in found)
    notes = [
        f"integer: the network in words, whose format {CALIBRATION_IMAGES} training images chose",
        f"scores that differ: between integer reference and PyTorch, in {checked:,} test images of each training",
        "OPs: binary MACs / 64 + all other MACs; time: of an epoch, 1 for the fastest",
    ]
    if any(row.trained_as != row.method for row in found):
        notes.append("(as ...): the same network as that method's, trained once; the two differ in their recipes alone")
    return "\n".join(f"- {note}" for note in notes)
