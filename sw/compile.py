"""From a lowered graph to a program for an engine."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sw import descriptor, ir
from sw.engine import Engine
from sw.folding import LayerPlan, plan_layer
from sw.layers import Layer, chain_of_layers
from sw.map_link import MapLink
from sw.pack import pack_thresholds, pack_weights, score_width, threshold_width
from sw.program import ImageInput, Program, common_score_width, score_bytes
from sw.residual.program import compile_words
from sw.residual.reader import has_words, word_network
from sw.residual.schedule import head_score_width
from sw.schedule import pass_interval, schedule_layers
from sw.sequencer import sequencer_fields

__all__ = ["Interface", "compile_graph", "compile_layers", "image_input", "interface_of", "with_levels"]

#: Bits of a score field that nothing uses.
LEAST_SCORE_WIDTH = 9


@dataclass(frozen=True)
class Interface:
    """What a host must know of a network: whether it takes packed 1-bit values, its classes, and a score's bytes."""

    flat: bool
    classes: int
    score_bytes: int


def interface_of(graph: ir.Graph) -> Interface:
    """Of a lowered graph, whatever the engine. Raises ``UnsupportedLayerError`` as ``compile_graph``."""
    if has_words(graph):
        head = word_network(graph).head
        return Interface(False, len(head.weights), score_bytes(head_score_width(head)))
    layers = chain_of_layers(graph)
    return Interface(layers[0].source == "flat", layers[-1].out_shape[2], 2)


def compile_graph(graph: ir.Graph, engine: Engine, shared_store: bool = False, least: Program | None = None) -> Program:
    """Compile a lowered graph for an engine.

    ``shared_store`` puts the weights of a network with words into the part's large RAMs, beside the words; they are
    loaded at start. Otherwise, and in a network without words, they come with the bitstream. Thresholds, scores and
    constants get the narrowest fields that hold them, and those of ``least`` too if it is given: a network of the same
    shape then often fits the same hardware.

    Raises ``UnsupportedLayerError`` for layers that no engine runs, and ``FitError`` if the engine's shape or the
    program's fields cannot hold the network.
    """
    if has_words(graph):
        return with_levels(compile_words(graph, engine, shared_store, least), graph)
    layers = chain_of_layers(graph)
    program = compile_layers(graph.name, layers, engine, image=image_input(graph.inputs, layers[0]), least=least)
    return with_levels(program, graph)


def with_levels(program: Program, graph: ir.Graph) -> Program:
    """The program of an engine that takes the graph's images, with their levels."""
    levels = graph.inputs.levels
    if levels is None or program.image is None:
        return program
    table = levels.tolist()
    return replace(program, image=replace(
        program.image, levels=tuple(table if levels.ndim == 1 else map(tuple, table)),
        code_width=graph.inputs.code_width))


def image_input(source: ir.Input, first: Layer) -> ImageInput:
    """What an input unit must do for a chain's first layer."""
    return ImageInput(
        shape=source.shape, bits=source.bits, flat=first.source == "flat", kernel=first.weights.shape[1],
        stride=first.stride, padding=first.padding, pool=first.pool, out_shape=first.out_shape[:2])


def compile_layers(network: str, layers: tuple[Layer, ...], engine: Engine, *, image: ImageInput | None = None,
                   source: MapLink | None = None, target: MapLink | None = None,
                   least: Program | None = None) -> Program:
    """Compile a run of a chain's layers: its first ones with the ``image``, others with the ``source`` of their map,
    and all but its last ones with the ``target`` of their result. Raises as ``compile_graph``.
    """
    schedule = schedule_layers(layers, engine, source=source, target=target)
    plans = [plan_layer(layer, engine, source if index == 0 else None) for index, layer in enumerate(layers)]
    bases, depth = _feature_bases(plans)
    addresses = max(2, depth, 0 if source is None else source.depth)
    words: list[int] = []
    weight_address = threshold_address = 0
    for index, plan in enumerate(plans):
        cooling = pass_interval(engine.rows if plan.layer.is_head else engine.drain_steps)
        base, groups_x = bases[index], plans[index - 1].groups_x
        if source is not None and index == 0:  # a memory of its own
            base, groups_x = 0, source.to_groups
        sequencer = sequencer_fields(
            plan, first=index == 0, last=index == len(plans) - 1, source=base, pixel_words=plan.words,
            groups_x=groups_x, depth=addresses, weights=weight_address, cooling=cooling)
        words += descriptor.BITS.encode(plan.layer.name, {
            **sequencer, **_drain_fields(plan, thresholds=threshold_address, out=bases[index + 1]),
            "leaves": int(target is not None and index == len(plans) - 1)})
        weight_address += plan.weight_words
        threshold_address += plan.groups_c * engine.drain_steps
    return Program(
        network=network, engine=engine, image=image, source=source, target=target,
        descriptors=tuple(words), weights=np.concatenate([pack_weights(plan) for plan in plans]),
        thresholds=np.concatenate([pack_thresholds(plan) for plan in plans]),
        threshold_width=max(threshold_width(plans), 0 if least is None else least.threshold_width),
        score_width=common_score_width(score_width(plans[-1]), least) if target is None else LEAST_SCORE_WIDTH,
        sum_width=max(plan.sum_width for plan in plans),
        feature_depth=depth,
        strides=(1, 2) if any(layer.stride == 2 for layer in layers if layer.source == "features") else (1,),
        pooling=any(layer.pool > 1 for layer in layers), classes=0 if target else layers[-1].out_shape[2],
        layer_names=tuple(layer.name for layer in layers), layer_shapes=tuple(layer.out_shape for layer in layers),
        schedule=schedule,
    )


def _feature_bases(plans: list[LayerPlan]) -> tuple[list[int], int]:
    """Base address of each layer's input map and of the last one's (unused) output: two regions, in turn."""
    sizes = [0, *(plan.out_depth for plan in plans[:-1]), 0]  # map 0 is the input unit's, the last one leaves
    region = [max(sizes[parity::2], default=0) for parity in (0, 1)]
    bases = [0 if index % 2 else region[1] for index in range(len(sizes))]
    total = sum(region)
    return bases, max(2, total) if total else 0


def _drain_fields(plan: LayerPlan, *, thresholds: int, out: int) -> Mapping[str, int]:
    layer = plan.layer
    return {
        "drain_groups": plan.groups_c - 1, "drain_pool": layer.pool**2 - 1,
        "last_steps": -(-plan.last_rows // plan.engine.drain) - 1, "scores": int(layer.is_head),
        "thresholds": thresholds, "out_address": out,
    }
