"""The program: all that one engine needs to run one network, and the file format that carries it.

A program is what ``hw.accelerator`` is built from: the engine's shape, the contents of its ROMs, the sizes of its
memories and the exact schedule. Saved, it is a folder with ``program.json`` (schema version, sizes, sha256 of the
contents) and ``program.npz`` (the contents).
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import descriptor, ir
from sw.engine import Engine
from sw.errors import ArtifactError
from sw.files import npz_bytes, write_atomic
from sw.folding import LayerPlan, plan_layer
from sw.layers import chain_of_layers
from sw.pack import pack_image, pack_thresholds, pack_weights, score_width, threshold_width
from sw.schedule import FrameTiming, LayerSchedule, Schedule, schedule_layers

__all__ = ["SCHEMA", "ImageInput", "MemoryUse", "Program", "compile_graph", "load_program", "save_program"]

SCHEMA = 1


@dataclass(frozen=True)
class ImageInput:
    """What the input unit must do: the image's shape and bits and, unless ``flat``, the first layer's windows."""

    shape: tuple[int, int, int]
    bits: int
    flat: bool
    kernel: int
    stride: int
    padding: int
    pool: int
    out_shape: tuple[int, int]

    @property
    def size(self) -> int:
        """Values of a frame."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def beats(self) -> int:
        """Bytes of a frame on the input stream."""
        return -(-self.size // 8) if self.flat else self.size

    def pack(self, image: NDArray[np.uint8]) -> bytes:
        """The bytes of one 8-bit image ``(H, W, C)``."""
        return pack_image(image, bits=self.bits, flat=self.flat)


@dataclass(frozen=True)
class MemoryUse:
    """One memory of the engine: ``kind`` is ``"block"`` (block RAM) or ``"large"`` (the part's large single-port RAM
    where it has one, else block RAM); ``bits_used`` of ``copies * width * depth`` hold contents.
    """

    name: str
    kind: str
    width: int
    depth: int
    copies: int
    bits_used: int


@dataclass(frozen=True, eq=False)
class Program:
    """Everything an engine needs; see the module. ``layer_names`` and ``layer_shapes`` (``(H, W, C)`` of each layer's
    result) let a trace be read.
    """

    network: str
    engine: Engine
    image: ImageInput
    descriptors: tuple[int, ...]
    weights: NDArray[np.uint8]
    thresholds: NDArray[np.int32]
    threshold_width: int
    score_width: int
    sum_width: int
    feature_depth: int
    strides: tuple[int, ...]
    pooling: bool
    classes: int
    layer_names: tuple[str, ...]
    layer_shapes: tuple[tuple[int, int, int], ...]
    schedule: Schedule

    @property
    def input_bytes(self) -> int:
        """Bytes of a frame on the input stream."""
        return self.image.beats

    @property
    def result_bytes(self) -> int:
        """Bytes of a result: two a score, one for the class."""
        return 2 * self.classes + 1

    @property
    def binary_macs(self) -> int:
        """Binary multiply-accumulates of a frame."""
        return self.schedule.binary_macs

    @property
    def memories(self) -> tuple[MemoryUse, ...]:
        """All memories of the engine."""
        engine, image = self.engine, self.image
        weight_bits = int(self.weights.shape[1])
        threshold_bits = engine.drain * self.threshold_width
        if image.flat:
            words = -(-image.size // engine.lanes)
            buffer = 1 << (max(2, words) - 1).bit_length()
            pixels = MemoryUse("input", "block", engine.lanes, 2 * buffer, 1, 2 * image.size)
        else:
            width = image.shape[2] * image.bits
            depth = (image.shape[0] + 2 * image.padding) * (image.shape[1] + 2 * image.padding)
            pixels = MemoryUse("input", "block", width, depth, 1, image.size * image.bits)
        uses = [
            MemoryUse("weights", "block", weight_bits, len(self.weights), 1, weight_bits * len(self.weights)),
            MemoryUse("thresholds", "block", threshold_bits, len(self.thresholds), 1,
                      threshold_bits * len(self.thresholds)),
            MemoryUse("program", "block", descriptor.WORD_BITS, len(self.descriptors), 1,
                      descriptor.WORD_BITS * len(self.descriptors)),
            pixels,
            MemoryUse("results", "block", 16, 2 << (self.classes - 1).bit_length(), 1, 32 * self.classes),
            MemoryUse("features", "large", engine.lanes, self.feature_depth, engine.columns,
                      engine.lanes * engine.columns * self.feature_depth),
        ]
        return tuple(uses)

    def weight_words(self) -> list[int]:
        """The weight ROM's contents as integers."""
        packed = np.packbits(self.weights, axis=1, bitorder="little")
        return [int.from_bytes(row.tobytes(), "little") for row in packed]

    def threshold_words(self) -> list[int]:
        """The threshold ROM's contents as integers."""
        mask = (1 << self.threshold_width) - 1
        return [
            sum((int(value) & mask) << index * self.threshold_width for index, value in enumerate(row))
            for row in self.thresholds
        ]


def compile_graph(graph: ir.Graph, engine: Engine) -> Program:
    """Compile a lowered graph for an engine.

    Raises ``UnsupportedLayerError`` for layers that no engine runs, and ``FitError`` if the engine's shape or the
    program's fields cannot hold the network.
    """
    layers = chain_of_layers(graph)
    schedule = schedule_layers(layers, engine)
    plans = [plan_layer(layer, engine) for layer in layers]
    bases, depth = _feature_bases(plans)
    words: list[int] = []
    weight_address = threshold_address = 0
    for index, plan in enumerate(plans):
        fields = _fields(plan, index == 0, bases[index], bases[index + 1], weight_address, threshold_address,
                         plans[index - 1] if index else None, modulus=1 << (depth - 1).bit_length())
        words += descriptor.BITS.encode(plan.layer.name, fields)
        weight_address += plan.weight_words
        threshold_address += plan.groups_c * engine.drain_steps
    first = layers[0]
    flat = first.source == "flat"
    source = graph.nodes[0]
    assert isinstance(source, ir.Input)  # chain_of_layers has checked it
    return Program(
        network=graph.name, engine=engine,
        image=ImageInput(
            shape=source.shape, bits=source.bits, flat=flat, kernel=first.weights.shape[1], stride=first.stride,
            padding=first.padding, pool=first.pool, out_shape=first.out_shape[:2],
        ),
        descriptors=tuple(words), weights=np.concatenate([pack_weights(plan) for plan in plans]),
        thresholds=np.concatenate([pack_thresholds(plan) for plan in plans]),
        threshold_width=threshold_width(plans), score_width=score_width(plans[-1]),
        sum_width=max(_sum_width(plan) for plan in plans),
        feature_depth=depth,
        strides=(1, 2) if any(layer.step == 2 for layer in layers if layer.source == "features") else (1,),
        pooling=any(layer.pool > 1 for layer in layers), classes=layers[-1].out_shape[2],
        layer_names=tuple(layer.name for layer in layers), layer_shapes=tuple(layer.out_shape for layer in layers),
        schedule=schedule,
    )


def _sum_width(plan: LayerPlan) -> int:
    """Bits of a signed accumulator that holds half of every dot product, a word's unused lanes included."""
    largest = (plan.layer.largest_sum + plan.odd_words + 1) // 2
    return max(largest, plan.engine.lanes // 2).bit_length() + 1


def _feature_bases(plans: list[LayerPlan]) -> tuple[list[int], int]:
    """Base address of each layer's input map and of the last one's (unused) output: two regions, in turn."""
    sizes = [0, *(plan.out_depth for plan in plans)]  # map 0 is the input unit's
    region = [max(sizes[parity::2], default=0) for parity in (0, 1)]
    bases = [0 if index % 2 else region[1] for index in range(len(sizes))]
    total = sum(region)
    return bases, max(2, total)


def _fields(plan: LayerPlan, first: bool, in_base: int, out_base: int, weights: int, thresholds: int,
            producer: LayerPlan | None, modulus: int) -> Mapping[str, int]:
    layer, engine = plan.layer, plan.engine
    row_pitch = 0 if producer is None else producer.groups_x * plan.words
    padding = layer.padding if layer.source == "features" else 0
    shift, phase = divmod(-padding, engine.columns)
    address = 0 if first else (in_base - padding * row_pitch + shift * plan.words) % modulus
    row_taps = plan.kernel[1] * plan.words
    on_map = layer.source == "features"
    return {
        "rows_out": layer.out_shape[0] - 1, "groups_x": plan.groups_x - 1, "groups_c": plan.groups_c - 1,
        "pool": layer.pool - 1, "stride": layer.stride - 1,
        "kernel_h": plan.kernel[0] - 1, "kernel_w": plan.kernel[1] - 1,
        "in_height": layer.in_shape[0] - 1 if on_map else 0, "in_width": layer.in_shape[1] - 1 if on_map else 0,
        "words": plan.words - 1, "planes": layer.planes - 1, "head": int(layer.is_head),
        "padding": padding, "phase": phase, "first": int(first),
        "image": int(not on_map), "skip": 0,
        "cooling": (engine.rows if layer.is_head else engine.drain_steps) - 1, "address": address, "row_pitch": row_pitch, "weights": weights,
        "row_taps": row_taps, "group_taps": plan.kernel[0] * row_taps,
        "drain_groups": plan.groups_c - 1, "drain_pool": layer.pool**2 - 1,
        "last_steps": -(-plan.last_rows // engine.drain) - 1, "scores": int(layer.is_head),
        "thresholds": thresholds, "out_address": out_base,
    }


def save_program(program: Program, folder: Path | str) -> tuple[Path, Path]:
    """Write a program to ``folder``; the same program always gives the same bytes. Returns the two paths."""
    folder = Path(folder)
    contents = npz_bytes({
        "weights": np.packbits(program.weights, axis=1, bitorder="little"), "thresholds": program.thresholds,
    })
    header = {
        "schema": SCHEMA, "network": program.network, "engine": asdict(program.engine), "image": asdict(program.image),
        "weight_bits": int(program.weights.shape[1]), "descriptors": list(program.descriptors),
        "threshold_width": program.threshold_width, "score_width": program.score_width, "sum_width": program.sum_width,
        "feature_depth": program.feature_depth, "strides": list(program.strides), "pooling": program.pooling,
        "classes": program.classes, "layer_names": list(program.layer_names),
        "layer_shapes": [list(shape) for shape in program.layer_shapes],
        "layers": [asdict(layer) for layer in program.schedule.layers], "timing": asdict(program.schedule.timing),
        "sha256": hashlib.sha256(contents).hexdigest(),
    }
    paths = folder / "program.json", folder / "program.npz"
    write_atomic(paths[1], contents)
    write_atomic(paths[0], json.dumps(header, indent=1, sort_keys=True) + "\n")
    return paths


def load_program(folder: Path | str) -> Program:
    """Read a program that ``save_program`` wrote.

    Raises ``ArtifactError`` if a file is missing or damaged, its hash does not match or its schema is another.
    """
    folder = Path(folder)
    remedy = "compile the network again"
    try:
        header = json.loads((folder / "program.json").read_text())
        contents = (folder / "program.npz").read_bytes()
    except (OSError, ValueError) as error:
        raise ArtifactError(f"program {folder}: cannot be read ({error}); {remedy}") from error
    schema = header.get("schema") if isinstance(header, dict) else None
    if schema != SCHEMA:
        raise ArtifactError(f"program {folder}: schema {schema!r}, this version reads {SCHEMA}; {remedy}")
    if hashlib.sha256(contents).hexdigest() != header.get("sha256"):
        raise ArtifactError(f"program {folder}: program.npz does not match the sha256 in program.json; {remedy}")
    try:
        with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
            return _program(header, arrays["weights"], arrays["thresholds"])
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"program {folder}: lacks or misnames {error}; {remedy}") from error


def _program(header: dict[str, Any], weights: NDArray[np.uint8], thresholds: NDArray[np.int32]) -> Program:
    image = {**header["image"], "shape": tuple(header["image"]["shape"]),
             "out_shape": tuple(header["image"]["out_shape"])}
    engine = Engine(**header["engine"])
    return Program(
        network=header["network"], engine=engine, image=ImageInput(**image),
        descriptors=tuple(header["descriptors"]),
        weights=np.unpackbits(weights, axis=1, bitorder="little")[:, :header["weight_bits"]],
        thresholds=thresholds, threshold_width=header["threshold_width"], score_width=header["score_width"],
        sum_width=header["sum_width"], feature_depth=header["feature_depth"], strides=tuple(header["strides"]),
        pooling=header["pooling"], classes=header["classes"], layer_names=tuple(header["layer_names"]),
        layer_shapes=tuple(tuple(shape) for shape in header["layer_shapes"]),
        schedule=Schedule(engine=engine, layers=tuple(LayerSchedule(**layer) for layer in header["layers"]),
                          timing=FrameTiming(**header["timing"])),
    )
