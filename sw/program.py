"""The program: all that one engine needs to run one network, and the file format that carries it.

A program is what ``hw.accelerator`` is built from: the engine's shape, the contents of its ROMs, the sizes of its
memories and the exact schedule. Saved, it is a folder with ``program.json`` (schema version, sizes, sha256 of the
contents) and ``program.npz`` (the contents).
"""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import descriptor
from sw.constants import ConstantFormat
from sw.engine import Engine
from sw.errors import ArtifactError
from sw.files import npz_bytes, write_atomic
from sw.map_link import MapLink
from sw.pack import pack_image
from sw.schedule import LayerSchedule, Schedule
from sw.timing import FrameTiming
from sw.word_unit import STORE_WIDTH, WordUnit

__all__ = [
    "SCHEMA", "ImageInput", "MemoryUse", "Program", "common_score_width", "load_program", "save_program", "score_bytes",
]

SCHEMA = 3


@dataclass(frozen=True)
class ImageInput:
    """What the input unit must do: the image's shape and bits and, unless ``flat``, the first layer's windows.

    ``levels`` are those of ``ir.Input``; whoever sends images applies them. Each channel of a pixel becomes
    ``code_width`` integers of ``bits`` bits.
    """

    shape: tuple[int, int, int]
    bits: int
    flat: bool
    kernel: int
    stride: int
    padding: int
    pool: int
    out_shape: tuple[int, int]
    levels: tuple[int, ...] | tuple[tuple[int, ...], ...] | None = None
    code_width: int = 1

    @property
    def size(self) -> int:
        """Integers of a frame."""
        return self.shape[0] * self.shape[1] * self.shape[2] * self.code_width

    @property
    def pixel_bits(self) -> int:
        """Bits of a pixel, all its channels."""
        return self.shape[2] * self.code_width * self.bits

    @property
    def beats(self) -> int:
        """Bytes of a frame on the input stream."""
        return -(-self.size // 8) if self.flat else self.size // self.code_width

    def pack(self, image: NDArray[np.uint8]) -> bytes:
        """The bytes of one 8-bit image ``(H, W, C)``."""
        return pack_image(image, bits=self.bits, flat=self.flat, levels=self.levels)


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
    result) let a trace be read. With ``words``, weights lie in their store and there are no thresholds; a layer's
    descriptors are those of its blocks. With ``source``, frames are maps from another engine, and there is no
    ``image``; with ``target``, results are maps for another engine, and there are no ``classes``.
    """

    network: str
    engine: Engine
    image: ImageInput | None
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
    words: WordUnit | None = None
    source: MapLink | None = None
    target: MapLink | None = None

    @property
    def form(self) -> descriptor.Format:
        """Of the descriptors."""
        return descriptor.BITS if self.words is None else descriptor.WORDS

    @property
    def input_bytes(self) -> int:
        """Bytes of a frame on the input stream; beats, if it is a map."""
        return self.schedule.timing.beats

    @property
    def windows(self) -> ImageInput | None:
        """Of an image from which the input unit takes windows."""
        return None if self.image is None or self.image.flat else self.image

    @property
    def feature_addresses(self) -> int:
        """Addresses of features that the sequencer counts through, its own memory's or the input map's."""
        return max(2, self.feature_depth, 0 if self.source is None else self.source.depth)

    @property
    def result_bytes(self) -> int:
        """Bytes of a result: those of all scores, one for the class."""
        return self.score_bytes * self.classes + 1

    @property
    def score_bytes(self) -> int:
        """Bytes of a score: 2, or 4 if one can be wider."""
        return score_bytes(self.score_width)

    @property
    def binary_macs(self) -> int:
        """Binary multiply-accumulates of a frame."""
        return self.schedule.binary_macs

    @property
    def memories(self) -> tuple[MemoryUse, ...]:
        """All memories of the engine."""
        engine = self.engine
        weight_bits = int(self.weights.shape[1])
        threshold_bits = engine.drain * self.threshold_width
        own = self._word_memories() if self.words is not None else (
            MemoryUse("weights", "block", weight_bits, len(self.weights), 1, weight_bits * len(self.weights)),
            MemoryUse("thresholds", "block", threshold_bits, len(self.thresholds), 1,
                      threshold_bits * len(self.thresholds)),
        )
        uses = [
            *own,
            MemoryUse("program", "block", descriptor.WORD_BITS, len(self.descriptors), 1,
                      descriptor.WORD_BITS * len(self.descriptors)),
            self._input_memory(),
        ]
        if self.target is None:
            uses.append(MemoryUse(
                "results", "block", max(16, self.score_width), 2 << (self.classes - 1).bit_length(), 1,
                16 * self.score_bytes * self.classes))
        if self.feature_depth:
            uses.append(MemoryUse(
                "features", "large" if self.words is None else "block", engine.lanes, self.feature_depth,
                engine.columns, engine.lanes * engine.columns * self.feature_depth))
        return tuple(uses)

    def _input_memory(self) -> MemoryUse:
        """That of what the engine is given: two maps, two vectors, or an image."""
        engine, image, link = self.engine, self.image, self.source
        if link is not None:
            return MemoryUse("maps", "block", link.width, 2 * link.depth, link.to_columns * link.to_word_parts,
                             2 * link.shape[0] * link.shape[1] * link.shape[2])
        assert image is not None
        if image.flat:
            words = -(-image.size // engine.lanes)
            buffer = 1 << (max(2, words) - 1).bit_length()
            return MemoryUse("input", "block", engine.lanes, 2 * buffer, 1, 2 * image.size)
        return MemoryUse("input", "block", image.pixel_bits, max(2, image.shape[0] * image.shape[1]), 1,
                         image.size * image.bits)

    @property
    def weight_depth(self) -> int:
        """Addresses of weight words: of all layers, or of a block."""
        return len(self.weights) if self.words is None else self.words.weight_depth

    def _word_memories(self) -> tuple[MemoryUse, ...]:
        """Those of an engine with words. What is fetched ahead lies in one memory for each part of a store word."""
        unit, engine = self.words, self.engine
        assert unit is not None
        fetched = [
            MemoryUse(f"{name} {part}", "block", min(STORE_WIDTH, width - start), 2 * depth, 1,
                      2 * depth * min(STORE_WIDTH, width - start))
            for name, width, depth in (("weights", engine.rows * engine.lanes, unit.weight_depth),
                                       ("constants", unit.constants.width, unit.constant_depth))
            for part, start in enumerate(range(0, width, STORE_WIDTH))
        ]
        fetched.append(MemoryUse("head", "block", self.score_width, max(3, self.classes), 1,
                                 self.score_width * self.classes))
        waiting = unit.constants.waiting
        if waiting:
            fetched.append(MemoryUse("constants on their way", "block", waiting, 4, 1, 4 * waiting))
        pairs = 2 * unit.bits * unit.depth * engine.columns
        store = len(unit.store)
        if unit.shared:
            lanes = STORE_WIDTH // 16
            return *fetched, MemoryUse("words and store", "large", 16, unit.depth + store, lanes,
                                       pairs + STORE_WIDTH * store)
        return (*fetched, MemoryUse("words", "block", 2 * unit.bits, unit.depth, engine.columns, pairs),
                MemoryUse("store", "block", STORE_WIDTH, store, 1, STORE_WIDTH * store))

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


def score_bytes(width: int) -> int:
    """Bytes of a score of so many bits: 2, or 4 if they are more than 16."""
    return 2 if width <= 16 else 4


def common_score_width(width: int, least: Program | None) -> int:
    """Bits of a score that hold ``width`` and those of ``least``, unless these take another number of bytes."""
    if least is None or score_bytes(width) != least.score_bytes:
        return width
    return max(width, least.score_width)


def save_program(program: Program, folder: Path | str) -> tuple[Path, Path]:
    """Write a program to ``folder``; the same program always gives the same bytes. Returns the two paths."""
    folder = Path(folder)
    unit = program.words
    contents = npz_bytes({
        "weights": np.packbits(program.weights, axis=1, bitorder="little"), "thresholds": program.thresholds,
        **({} if unit is None else {"store": unit.store}),
    })
    header = {
        "schema": SCHEMA, "network": program.network, "engine": asdict(program.engine),
        **{name: None if part is None else asdict(part) for name, part in (
            ("image", program.image), ("source", program.source), ("target", program.target))},
        "weight_bits": int(program.weights.shape[1]), "descriptors": list(program.descriptors),
        "threshold_width": program.threshold_width, "score_width": program.score_width, "sum_width": program.sum_width,
        "feature_depth": program.feature_depth, "strides": list(program.strides), "pooling": program.pooling,
        "classes": program.classes, "layer_names": list(program.layer_names),
        "layer_shapes": [list(shape) for shape in program.layer_shapes],
        "layers": [asdict(layer) for layer in program.schedule.layers], "timing": asdict(program.schedule.timing),
        "words": None if unit is None else {
            field.name: getattr(unit, field.name) for field in fields(unit) if field.name not in ("constants", "store")
        } | {"constants": asdict(unit.constants)},
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
            return _program(header, arrays["weights"], arrays["thresholds"], arrays.get("store"))
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"program {folder}: lacks or misnames {error}; {remedy}") from error


def _program(header: dict[str, Any], weights: NDArray[np.uint8], thresholds: NDArray[np.int32],
             store: NDArray[np.uint64] | None) -> Program:
    engine = Engine(**header["engine"])
    unit = header["words"]
    if unit is not None:
        if store is None:
            raise KeyError("store")
        unit = WordUnit(**{**unit, "constants": ConstantFormat(**unit["constants"]),
                           "strides": tuple(unit["strides"])}, store=store)
    return Program(
        network=header["network"], engine=engine,
        image=None if header["image"] is None else ImageInput(**_tuples(header["image"])),
        **{name: MapLink(**_tuples(header[name])) for name in ("source", "target") if header.get(name) is not None},
        descriptors=tuple(header["descriptors"]),
        weights=np.unpackbits(weights, axis=1, bitorder="little")[:, :header["weight_bits"]],
        thresholds=thresholds, threshold_width=header["threshold_width"], score_width=header["score_width"],
        sum_width=header["sum_width"], feature_depth=header["feature_depth"], strides=tuple(header["strides"]),
        pooling=header["pooling"], classes=header["classes"], layer_names=tuple(header["layer_names"]),
        layer_shapes=tuple(tuple(shape) for shape in header["layer_shapes"]),
        schedule=Schedule(engine=engine, layers=tuple(LayerSchedule(**layer) for layer in header["layers"]),
                          timing=FrameTiming(**header["timing"])), words=unit,
    )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """With a tuple for each list, however deep, which JSON makes of it."""
    return {name: _tuple(value) for name, value in fields.items()}


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
