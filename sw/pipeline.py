"""Several engines in a row: each runs a part of the network's layers, and maps go from one to the next.

While an engine works on a frame, the one behind it works on the frame before. The slowest of them sets the rate, so
the layers are cut where that one takes the fewest cycles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from sw import ir
from sw.compile import compile_layers, image_input, with_levels
from sw.engine import Engine
from sw.errors import FitError, UnsupportedLayerError
from sw.layers import Layer, chain_of_layers
from sw.map_link import MapLink
from sw.program import ImageInput, Program
from sw.residual.reader import has_words
from sw.schedule import LayerSchedule, Schedule, schedule_layers
from sw.timing import PipelineTiming

__all__ = [
    "Pipeline", "PipelineSchedule", "balanced_cuts", "compile_pipeline", "map_link", "pipeline_layers", "stages_of",
]


@dataclass(frozen=True)
class PipelineSchedule:
    """The schedules of engines in a row, and the frame's timing on all of them."""

    stages: tuple[Schedule, ...]

    @property
    def layers(self) -> tuple[LayerSchedule, ...]:
        """All layers' cycles, each on its own engine."""
        return tuple(layer for stage in self.stages for layer in stage.layers)

    @property
    def timing(self) -> PipelineTiming:
        """The frame's."""
        return PipelineTiming(tuple(stage.timing for stage in self.stages))

    @cached_property
    def cycles_per_frame(self) -> int:
        """Initiation interval: cycles between results when frames follow each other without a gap."""
        results = self.timing.ideal_run(8 * (len(self.stages) + 1))
        return results[-1][1] - results[-2][1]

    @property
    def latency_cycles(self) -> int:
        """From the frame's last input transfer to its result's last byte, all engines idle."""
        return self.timing.latency_cycles

    @property
    def binary_macs(self) -> int:
        """Binary multiply-accumulates of a frame."""
        return sum(stage.binary_macs for stage in self.stages)

    @property
    def synapses_per_cycle(self) -> int:
        """Of all engines."""
        return sum(stage.engine.synapses_per_cycle for stage in self.stages)

    @property
    def utilisation(self) -> float:
        """Share of all arrays' synapse slots in a frame that do a wanted MAC."""
        return self.binary_macs / (self.synapses_per_cycle * self.cycles_per_frame)

    @property
    def utilisation_3x3(self) -> float | None:
        """Ideal over actual cycles of the 3 x 3 layers together; ``None`` without such layers."""
        layers = [layer for layer in self.layers if layer.is_3x3]
        return sum(layer.ideal_cycles for layer in layers) / sum(layer.cycles for layer in layers) if layers else None


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Programs of engines in a row: the first takes images, the last gives scores.

    What surrounds an accelerator finds here what it finds in a ``Program``.
    """

    programs: tuple[Program, ...]

    @property
    def network(self) -> str:
        """The network's name."""
        return self.programs[0].network

    @property
    def links(self) -> tuple[MapLink, ...]:
        """Between each engine and the next."""
        return tuple(program.target for program in self.programs if program.target is not None)

    @property
    def image(self) -> ImageInput:
        """That of the first engine."""
        image = self.programs[0].image
        assert image is not None
        return image

    @property
    def words(self) -> None:
        """No engine of a pipeline has any."""
        return

    @cached_property
    def schedule(self) -> PipelineSchedule:
        """Of all engines."""
        return PipelineSchedule(tuple(program.schedule for program in self.programs))

    @property
    def input_bytes(self) -> int:
        """Bytes of a frame on the input stream."""
        return self.programs[0].input_bytes

    @property
    def result_bytes(self) -> int:
        """Bytes of a result."""
        return self.programs[-1].result_bytes

    @property
    def classes(self) -> int:
        """Classes of the last engine's scores."""
        return self.programs[-1].classes

    @property
    def score_bytes(self) -> int:
        """Bytes of a score."""
        return self.programs[-1].score_bytes

    @property
    def binary_macs(self) -> int:
        """Binary multiply-accumulates of a frame."""
        return self.schedule.binary_macs


def pipeline_layers(graph: ir.Graph, engines: int) -> tuple[Layer, ...]:
    """The layers of a lowered graph that ``engines`` engines can share.

    Raises ``UnsupportedLayerError`` for a network with words, or layers that no engine runs, and ``FitError`` if there
    are fewer layers than engines.
    """
    if has_words(graph):
        raise UnsupportedLayerError([
            f"{graph.name}: a network with words on its shortcuts runs on one engine; leave out --engines"])
    layers = chain_of_layers(graph)
    if not 1 <= engines <= len(layers):
        raise FitError(f"network {graph.name} has {len(layers)} layers, of which each engine takes one at least; use "
                       f"from 1 to {len(layers)} engines, not {engines}")
    return layers


def map_link(layers: Sequence[Layer], cut: int, sender: Engine, receiver: Engine) -> MapLink:
    """The stream between the engines that ``cut``, the receiver's first layer, lies between."""
    layer = layers[cut - 1]
    return MapLink(name=layer.name, shape=layer.out_shape, columns=sender.columns, lanes=sender.lanes,
                   drain=sender.drain, to_columns=receiver.columns, to_lanes=receiver.lanes)


def stages_of(layers: Sequence[Layer], cuts: Sequence[int]) -> list[tuple[Layer, ...]]:
    """Each engine's layers; ``cuts`` are the numbers of the layers that are a further engine's first.

    Raises ``FitError`` if an engine would have none.
    """
    bounds = [0, *cuts, len(layers)]
    if any(start >= end for start, end in zip(bounds, bounds[1:], strict=False)):
        raise FitError(f"cuts must be ascending numbers from 1 to {len(layers) - 1}, not {list(cuts)!r}")
    return [tuple(layers[start:end]) for start, end in zip(bounds, bounds[1:], strict=False)]


def compile_pipeline(graph: ir.Graph, engines: Sequence[Engine], cuts: Sequence[int] | None = None) -> Pipeline:
    """Compile a lowered graph without words for engines in a row.

    ``cuts`` are the numbers, from 0, of the layers with which each engine but the first begins; without them the
    layers are cut as ``balanced_cuts`` says. Raises as that and ``sw.compile.compile_graph``.
    """
    layers = pipeline_layers(graph, len(engines))
    if cuts is None:
        cuts = balanced_cuts(layers, engines)
    if len(cuts) != len(engines) - 1:
        raise FitError(f"{len(engines)} engines need {len(engines) - 1} cuts, not {len(cuts)}")
    runs = stages_of(layers, cuts)
    links = [map_link(layers, cut, *engines[index:index + 2]) for index, cut in enumerate(cuts)]
    programs = [
        compile_layers(
            graph.name, run, engine, image=image_input(graph.inputs, run[0]) if source is None else None,
            source=source, target=target)
        for run, engine, source, target in zip(runs, engines, [None, *links], [*links, None], strict=True)]
    return Pipeline((with_levels(programs[0], graph), *programs[1:]))


def balanced_cuts(layers: Sequence[Layer], engines: Sequence[Engine]) -> tuple[int, ...]:
    """Cuts with which the slowest of the engines takes the fewest cycles a frame; of equal ones, those with the fewest
    cycles in all.

    Raises ``FitError`` if no cuts let every engine run its layers.
    """
    known: dict[tuple[int, int, int], int | FitError] = {}

    def cycles(index: int, start: int, end: int) -> int:
        """Of an engine's layers."""
        if (index, start, end) not in known:
            try:
                known[index, start, end] = _stage_cycles(layers, start, end, index, engines)
            except FitError as error:
                known[index, start, end] = error
        found = known[index, start, end]
        if isinstance(found, FitError):
            raise found
        return found

    best: tuple[tuple[int, int], tuple[int, ...]] | None = None
    refusal = FitError("there is no way to cut the layers")
    for cuts in combinations(range(1, len(layers)), len(engines) - 1):
        bounds = [0, *cuts, len(layers)]
        try:
            found = [cycles(index, bounds[index], bounds[index + 1]) for index in range(len(engines))]
        except FitError as error:
            refusal = error
            continue
        rank = (max(found), sum(found))
        if best is None or (rank, cuts) < best:
            best = rank, cuts
    if best is None:
        raise refusal
    return best[1]


def _stage_cycles(layers: Sequence[Layer], start: int, end: int, index: int, engines: Sequence[Engine]) -> int:
    """Cycles a frame of layers ``start`` to ``end`` on engine ``index`` of those in a row, by itself."""
    source = map_link(layers, start, engines[index - 1], engines[index]) if start else None
    target = map_link(layers, end, engines[index], engines[index + 1]) if end < len(layers) else None
    return schedule_layers(tuple(layers[start:end]), engines[index], source=source, target=target).cycles_per_frame
