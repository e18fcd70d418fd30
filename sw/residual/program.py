"""From a graph with words to a program: blocks, their descriptors and records, memory sizes, and the schedule."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sw import ir
from sw.descriptor import WORDS
from sw.engine import Engine
from sw.errors import FitError
from sw.folding import ceil_div
from sw.program import ImageInput, Program, common_score_width
from sw.residual.blocks import Block, Depths, Fold, fold_network
from sw.residual.layers import PooledLayer, WordNetwork
from sw.residual.reader import word_network
from sw.residual.schedule import (
    AVERAGE_CADENCE,
    cadence,
    drain_cycles,
    fetches_late,
    head_score_width,
    schedule_blocks,
)
from sw.residual.store import block_record, constant_format, head_record
from sw.sequencer import sequencer_fields
from sw.word_unit import STORE_WIDTH, WordUnit

__all__ = ["compile_words"]

#: Words of a half of the memories that are fetched into: with both halves, a block RAM's depth on every part.
DEPTHS = Depths(weights=128, constants=128)
#: Bits of a factor of the head's multiplier, signed.
FACTOR_BITS = 16
#: A large RAM: words, and bits of each.
LARGE_DEPTH, LARGE_WIDTH = 16384, 16


def compile_words(graph: ir.Graph, engine: Engine, shared: bool, least: Program | None) -> Program:
    """Compile a lowered graph with words for an engine; see ``sw.compile.compile_graph``."""
    network = word_network(graph)
    if engine.drain != 1:
        engine = replace(engine, drain=1)
    folds = fold_network(network, engine, DEPTHS)
    form = constant_format(network, folds)
    if least is not None and least.words is not None:
        form = form.widened(least.words.constants)
    blocks = [block for fold in folds for block in fold.blocks]
    _check_image(folds[0])
    records = [block_record(network, folds, block, form) for block in blocks]
    records.append(head_record(network.head, folds[network.head.inputs], form, engine.rows * engine.lanes))
    _check_head(network, folds[network.head.inputs], engine, records[-1].weights, DEPTHS)
    store = np.array([word for record in records for word in record.pack(STORE_WIDTH)], np.uint64)
    word_depth = max([2, *(fold.words + fold.word_size for fold in folds if fold.words is not None)])
    feature_depth = max([2, *(fold.features + fold.feature_size for fold in folds if fold.features is not None)])
    if shared:
        _check_large(network, engine, word_depth, len(store))
    layers = [fold.layer for fold in folds]
    sizes = [record.words(STORE_WIDTH) for record in records]
    late = fetches_late(network, folds, engine, sizes) if shared else [False] * len(records)
    descriptors: list[int] = []
    for block, waits in zip(blocks, late, strict=False):
        fields = _block_fields(folds, block, feature_depth) | {"late": int(waits)}
        descriptors += WORDS.encode(block.plan.layer.name, fields)
    descriptors += WORDS.encode(network.head.name, _head_fields(network.head, folds) | {"late": int(late[-1])})
    first = layers[0]
    conv = first.conv
    wide = any(layer.shortcut and layer.shortcut.kind != "same" for layer in layers)
    return Program(
        network=graph.name, engine=engine,
        image=ImageInput(
            shape=graph.inputs.shape, bits=graph.inputs.bits, flat=False, kernel=conv.weights.shape[1],
            stride=conv.stride, padding=conv.padding, pool=1, out_shape=first.out_shape[:2]),
        descriptors=tuple(descriptors), weights=np.zeros((0, engine.rows * engine.lanes), np.uint8),
        thresholds=np.zeros((0, 1), np.int32), threshold_width=1,
        score_width=common_score_width(head_score_width(network.head), least),
        sum_width=max(block.plan.sum_width for block in blocks), feature_depth=feature_depth,
        strides=(1, 2) if any(layer.conv.stride == 2 for layer in layers[1:]) else (1,), pooling=False,
        classes=len(network.head.weights), layer_names=tuple(layer.name for layer in layers) + (network.head.name,),
        layer_shapes=tuple(layer.out_shape for layer in layers) + ((1, 1, len(network.head.weights)),),
        schedule=schedule_blocks(network, folds, engine, sizes, late),
        words=WordUnit(
            bits=network.word_bits, low=network.low, high=network.high, shift=network.shift - 1, depth=word_depth,
            strides=(1, 2) if wide else (1,), weight_depth=DEPTHS.weights, constant_depth=DEPTHS.constants,
            constants=form, shared=shared,
            **_head_map(network.head, folds[network.head.inputs], engine),
            head_reduce=network.head.reduce, store=store))


def _check_image(fold: Fold) -> None:
    if len(fold.blocks) > 1:
        raise FitError(f"{fold.layer.name}: the first convolution's {fold.layer.accumulators} channels need "
                       f"{len(fold.blocks)} blocks, and the image is read once; use more rows or fewer channels")


def _check_head(network: WordNetwork, source: Fold, engine: Engine, weights: Sequence[int], depths: Depths) -> None:
    head = network.head
    pixels, half = head.in_shape[0] * source.groups_x * engine.columns, 1 << head.reduce >> 1
    most = 1 << network.word_bits - 1
    width = max(pixels * most - 1 - half, pixels * (most - 1) + half).bit_length() + 1
    if width - head.reduce > FACTOR_BITS:
        raise FitError(f"{head.name}: its sums over {head.in_shape[0]} x {head.in_shape[1]} words of "
                       f"{network.word_bits} bits have {width} bits, where a factor has {FACTOR_BITS}; use a smaller "
                       f"last map, or narrower words")
    if len(weights) > depths.weights:
        raise FitError(f"{head.name}: its weights are {len(weights)} words, where a half of the memory holds "
                       f"{depths.weights}; use more rows or lanes, or fewer channels")
    if len(head.weights) > depths.constants:
        raise FitError(f"{head.name}: {len(head.weights)} classes are above the {depths.constants} that the memory of "
                       f"constants holds")
    if head.reach >= 1 << 31:
        raise FitError(f"{head.name}: a score can reach {head.reach}, beyond 32 bits")


def _check_large(network: WordNetwork, engine: Engine, depth: int, store: int) -> None:
    rams = STORE_WIDTH // LARGE_WIDTH
    if engine.columns > rams:
        raise FitError(f"network {network.name}: words of {engine.columns} columns need as many large RAMs, of which "
                       f"the part has {rams}; use at most {rams} columns")
    if 2 * network.word_bits > LARGE_WIDTH:
        raise FitError(f"network {network.name}: words of {network.word_bits} bits do not fit the part's large RAMs, "
                       f"whose {LARGE_WIDTH} bits hold two of {LARGE_WIDTH // 2}; export with --word-bits "
                       f"{LARGE_WIDTH // 2}")
    if depth + store > LARGE_DEPTH:
        raise FitError(f"network {network.name}: {depth:,} addresses of words and {store:,} of weights do not fit the "
                       f"large RAMs' {LARGE_DEPTH:,}; use a narrower network, or a smaller image")


def _block_fields(folds: Sequence[Fold], block: Block, feature_depth: int) -> dict[str, int]:
    fold, plan = folds[block.number], block.plan
    layer, engine = fold.layer, plan.engine
    source = None if layer.inputs is None else folds[layer.inputs]
    on_map = source is not None
    sequencer = sequencer_fields(
        plan, first=not on_map, source=(source.features or 0) + block.window if source else 0,
        pixel_words=source.feature_pitch if source else plan.words, groups_x=source.groups_x if source else 0,
        depth=feature_depth, weights=0, cooling=drain_cycles(fold, engine), windows=block.windows,
        turn=block.turn)
    around = layer.shortcut
    from_words = folds[around.source] if around else None
    stride = 2 if around and around.kind != "same" else 1
    pitch = from_words.word_pitch if from_words else 0
    row_pitch = from_words.groups_x * pitch if from_words else 0
    accumulators = len(plan.layer.weights)
    channels = accumulators * layer.tiles
    return {
        **sequencer, "drain_groups": block.count - 1, "tiles": layer.tiles - 1,
        "last_rows": accumulators - (block.count - 1) * engine.rows - 1,
        "drain_groups_x": plan.groups_x - 1, "average": int(cadence(fold) == AVERAGE_CADENCE),
        "around": int(around is not None), "around_stride": stride - 1,
        "keep": int(layer.keep), "bits": int(fold.features is not None), "pooled": 0,
        "around_address": (from_words.words or 0) if from_words else 0, "around_pitch": pitch,
        "around_row_pitch": row_pitch, "around_row_step": stride * (row_pitch - (plan.groups_x - 1) * pitch),
        "word_out": (fold.words or 0) + block.word, "word_step": fold.word_pitch - channels // 2 + 1,
        "out_address": (fold.features or 0) + block.feature,
        "out_step": fold.feature_pitch - ceil_div(channels, engine.lanes) + 1,
    }


def _head_fields(head: PooledLayer, folds: Sequence[Fold]) -> dict[str, int]:
    source = folds[head.inputs]
    return dict.fromkeys(WORDS.fields, 0) | {
        "head": 1, "pooled": 1, "around_address": source.words or 0, "around_pitch": source.word_pitch,
        "around_row_step": source.word_pitch, "drain_groups_x": source.groups_x - 1,
    }


def _head_map(head: PooledLayer, source: Fold, engine: Engine) -> dict[str, int]:
    """What the head's hardware is made for."""
    height, width, channels = head.in_shape
    return {"head_pixels": height * source.groups_x, "head_pairs": channels // 2,
            "head_columns": width - (source.groups_x - 1) * engine.columns}
