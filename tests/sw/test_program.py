"""The program: an interpreter that knows only its contents computes the network; files come back as they went."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from sw import ir
from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import ArtifactError, CompileError, FitError, UnsupportedLayerError
from sw.layers import chain_of_layers
from sw.numerics import thermometer_levels
from sw.program import load_program, save_program
from sw.reference import run
from sw.schedule import schedule_layers
from tests.sw.interpreter import Interpreter, descriptors
from tests.sw.networks import random_cnn, random_images, random_mlp

NETWORKS = {
    "pools, masked columns": (random_cnn(1, (9, 8, 1), 4, (4, 6), pools=(1, 2), classes=5), Engine(4, 3, 8, 2)),
    "colours, words": (random_cnn(2, (6, 7, 3), 2, (12, 10), padding=(1, 0)), Engine(4, 2, 8, 2)),
    "strides": (random_cnn(3, (9, 8, 1), 1, (8, 8, 6), stride=(1, 2, 1), padding=(0, 1, 1)), Engine(8, 1, 4, 4)),
    "wide kernel, five columns": (random_cnn(4, (8, 7, 1), 3, (4, 4), kernel=(3, 5), padding=(1, 2)),
                                  Engine(2, 5, 6)),
    "stride in the window": (random_cnn(5, (9, 9, 2), 3, (6, 4), stride=(2, 1)), Engine(3, 2, 6, 3)),
    "windows of black alone": (random_cnn(9, (5, 5, 1), 2, (4, 4), kernel=(1, 3), padding=(1, 0)), Engine(4, 2, 8)),
    "levels": (random_cnn(10, (5, 6, 1), 3, (4, 4), levels=np.arange(256) * 5 % 8), Engine(4, 1, 8)),
    "one of all": (random_cnn(6, (4, 3, 1), 1, (2, 1), kernel=(3, 1), padding=0, classes=1), Engine(1, 1, 2)),
    "a step of a channel and none": (random_cnn(5, (4, 4, 1), 2, (4, 5)), Engine(4, 1, 16, 2)),
    "thermometer": (random_cnn(9, (7, 6, 2), 1, (5, 6), padding=(1, 0), levels=thermometer_levels(3)),
                    Engine(3, 2, 8)),
    "vector": (random_mlp(7, ((2, 3, 7), 12, 20, 5)), Engine(6, 1, 8, 2)),
    "vector, more rows than channels": (random_mlp(5, (16, 5, 3)), Engine(8, 1, 32, 8)),
    "scores only": (random_mlp(8, (21, 3)), Engine(2, 3, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_interpreter_computes_the_network(name):
    graph, engine = NETWORKS[name]
    images = random_images(3, graph.inputs.shape, 3)
    interpreter = Interpreter(compile_graph(graph, engine))
    assert [interpreter.run(image) for image in images] == run(graph, images).scores.tolist()


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes(name):
    graph, engine = NETWORKS[name]
    program = compile_graph(graph, engine)
    layers = chain_of_layers(graph)
    rows = descriptors(program)
    assert program.layer_names == tuple(layer.name for layer in layers)
    assert program.layer_shapes == tuple(layer.out_shape for layer in layers)
    assert [row["first"] for row in rows] == [1] + [0] * (len(rows) - 1)
    assert [row["head"] for row in rows] == [0] * (len(rows) - 1) + [1]
    assert program.pooling == any(row["pool"] for row in rows)
    assert program.strides == ((1, 2) if any(row["stride"] and not row["image"] for row in rows)
                               else (1,))
    assert len(program.weights) == rows[-1]["weights"] + (rows[-1]["groups_c"] + 1) * rows[-1]["group_taps"]
    assert len(program.thresholds) == rows[-1]["thresholds"] + (rows[-1]["groups_c"] + 1) * engine.drain_steps
    assert program.result_bytes == 2 * layers[-1].out_shape[2] + 1
    assert program.classes == layers[-1].out_shape[2]
    assert program.binary_macs == sum(layer.binary_macs for layer in layers)
    assert program.schedule.layers == schedule_layers(layers, engine).layers
    assert program.schedule.timing == schedule_layers(layers, engine).timing
    image = random_images(1, graph.inputs.shape)[0]
    assert len(program.image.pack(image)) == program.input_bytes == program.schedule.timing.beats


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_never_writes_over_what_it_reads(name):
    graph, engine = NETWORKS[name]
    program = compile_graph(graph, engine)
    regions = []
    for row, (height, _, channels) in zip(descriptors(program)[:-1], program.layer_shapes, strict=False):
        words = height * (row["groups_x"] + 1) * -(-channels // engine.lanes)
        regions.append(range(row["out_address"], row["out_address"] + words))
    assert all(region.stop <= program.feature_depth for region in regions)
    for one, other in zip(regions, regions[1:], strict=False):
        assert not set(one) & set(other)
    assert max([region.stop for region in regions], default=0) in (program.feature_depth, 1)


def test_words_of_the_memories():
    graph, engine = NETWORKS["colours, words"]
    program = compile_graph(graph, engine)
    for word, bits in zip(program.weight_words(), program.weights, strict=True):
        assert word == sum(int(bit) << index for index, bit in enumerate(bits))
    width = program.threshold_width
    for word, row in zip(program.threshold_words(), program.thresholds, strict=True):
        fields = [word >> width * index & (1 << width) - 1 for index in range(engine.drain)]
        assert [value - (1 << width) * (value >> width - 1) for value in fields] == row.tolist()
        assert 0 <= word < 1 << width * engine.drain


@pytest.mark.parametrize(("name", "sizes"), [
    ("pools, masked columns", {"input": (4, 9 * 8, 1), "features": (8, 8 + 2, 3), "results": (16, 16, 1)}),
    ("vector", {"input": (8, 16, 1), "features": (8, 2 + 3, 1), "results": (16, 16, 1)}),
    ("scores only", {"input": (8, 8, 1), "results": (16, 8, 1)}),
])
def test_memories(name, sizes):
    program = compile_graph(*NETWORKS[name])
    memories = {use.name: use for use in program.memories}
    found = {key: (memories[key].width, memories[key].depth, memories[key].copies) for key in sizes}
    assert found == sizes
    assert [key for key, use in memories.items() if use.kind == "large"] == ["features"] * ("features" in sizes)
    assert all(0 < use.bits_used <= use.copies * use.width * use.depth for use in program.memories)
    assert memories["weights"].bits_used == program.weights.size
    assert memories["thresholds"].bits_used == program.thresholds.size * program.threshold_width
    assert memories["program"].depth == len(program.descriptors)


@pytest.mark.parametrize("name", NETWORKS)
def test_file_comes_back(name, tmp_path):
    program = compile_graph(*NETWORKS[name])
    paths = save_program(program, tmp_path / "one")
    loaded = load_program(tmp_path / "one")
    for field in dataclasses.fields(program):
        one, other = getattr(program, field.name), getattr(loaded, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other, field.name
    again = save_program(loaded, tmp_path / "two")
    assert [path.name for path in paths] == ["program.json", "program.npz"]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def change_header(folder, **changes):
    header = json.loads((folder / "program.json").read_text())
    header.update(changes)
    (folder / "program.json").write_text(json.dumps({key: value for key, value in header.items() if value != "gone"}))


def truncate(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-20])


def empty_contents(folder):
    """Contents that no archive is, with their right hash."""
    (folder / "program.npz").write_bytes(b"")
    change_header(folder, sha256=hashlib.sha256(b"").hexdigest())


DAMAGE = {
    "no json": (lambda folder: (folder / "program.json").unlink(), r"cannot be read \(.*No such file.*program.json"),
    "no npz": (lambda folder: (folder / "program.npz").unlink(), r"cannot be read \(.*No such file.*program.npz"),
    "half a json": (lambda folder: truncate(folder, "program.json"), r"cannot be read \("),
    "no text": (lambda folder: (folder / "program.json").write_bytes(b"\xff\xfe{"), r"cannot be read \("),
    "half an npz": (lambda folder: truncate(folder, "program.npz"), r"program.npz does not match the sha256"),
    "other hash": (lambda folder: change_header(folder, sha256="0" * 64), r"program.npz does not match the sha256"),
    "no hash": (lambda folder: change_header(folder, sha256="gone"), r"program.npz does not match the sha256"),
    "other schema": (lambda folder: change_header(folder, schema=1), r"schema 1, this version reads 3"),
    "no schema": (lambda folder: change_header(folder, schema="gone"), r"schema None, this version reads 3"),
    "no classes": (lambda folder: change_header(folder, classes="gone"), r"lacks or misnames 'classes'"),
    "unknown timing": (lambda folder: change_header(folder, timing={"speed": 1}), r"lacks or misnames .*'speed'"),
}

UNREADABLE = {
    "no image": lambda folder: change_header(folder, image="gone"),
    "no engine": lambda folder: change_header(folder, engine="gone"),
    "no object": lambda folder: (folder / "program.json").write_text("[]"),
    "empty contents": empty_contents,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_file(name, tmp_path):
    damage, message = DAMAGE[name]
    save_program(compile_graph(*NETWORKS["scores only"]), tmp_path)
    damage(tmp_path)
    with pytest.raises(ArtifactError, match=rf"^program .*: .*{message}.*; compile the network again$"):
        load_program(tmp_path)


@pytest.mark.parametrize("name", UNREADABLE)
def test_damaged_file_without_a_stack_trace(name, tmp_path):
    save_program(compile_graph(*NETWORKS["scores only"]), tmp_path)
    UNREADABLE[name](tmp_path)
    with pytest.raises(ArtifactError):
        load_program(tmp_path)


def ones(*shape):
    return np.ones(shape, np.int8)


def graph_of(shape, bits, *parts):
    """Layers of (weights, stride, padding, pad_value), each with thresholds of 0, then scores."""
    nodes = [ir.Input("input", shape, bits)]
    for index, (weights, *options) in enumerate(parts, start=1):
        nodes.append(ir.Conv(f"conv{index}", nodes[-1].name, weights, *options))
        nodes.append(ir.Threshold(f"sign{index}", nodes[-1].name, np.zeros(len(weights), np.int32)))
    inputs = ir.Graph(tuple(nodes), "body").shape(nodes[-1].name)
    nodes += [ir.Conv("head", nodes[-1].name, ones(2, *inputs)), ir.Scores("scores", "head", [0, 0])]
    return ir.Graph(tuple(nodes), "made by hand")


@pytest.mark.parametrize(("graph", "engine", "message"), [
    # Two thousand channels on one row of two lanes: 2000 x 1000 weight words.
    (graph_of((1, 2, 1), 1, (ones(2000, 1, 1, 1),), (ones(2000, 1, 1, 2000),)), Engine(1, 1, 2),
     (r"^head: address of the first weight word is 2002000, above what the program's 16-bit field holds \(65535\); "
     r"use a smaller layer or a larger array$")),
    # 4100 words of a window: 64 taps of 129 channels, a word for two of them.
    (graph_of((8, 9, 129), 1, (ones(2, 8, 8, 129),)), Engine(1, 1, 2),
     r"^conv1: words of a tap - 1 is 4127, above what the program's 12-bit field holds \(4095\); .*"),
])
def test_program_that_its_fields_cannot_hold(graph, engine, message):
    with pytest.raises(FitError, match=message):
        compile_graph(graph, engine)


def test_errors_of_layers_come_first():
    graph = graph_of((9, 9, 1), 1, (ones(2, 3, 3, 1), 3))
    with pytest.raises(UnsupportedLayerError, match="conv1: stride 3 is above the engine's 2"):
        compile_graph(graph, Engine(4, 4, 7))
    with pytest.raises(CompileError, match="lanes must be even"):
        compile_graph(graph_of((9, 9, 1), 1, (ones(2, 3, 3, 1),)), Engine(4, 4, 7))


def test_scores_fit_their_bits():
    graph = ir.Graph((ir.Input("input", (1, 1, 264), 1), ir.Conv("head", "input", ones(4, 1, 1, 264)),
                      ir.Scores("scores", "head", [0] * 4)), "made by hand")
    program = compile_graph(graph, Engine(4, 1, 8))
    assert 264 < 1 << program.score_width - 1


def test_wide_thresholds_do_not_widen_the_scores():
    program = compile_graph(graph_of((6, 6, 3), 8, (ones(6, 5, 5, 3),)), Engine(4, 1, 8))
    assert program.score_width <= 16 < program.threshold_width + 1


def test_first_kernel_that_is_not_square_is_refused():
    with pytest.raises(CompileError, match="conv1: the first convolution's kernel must be square, not 3 x 1"):
        compile_graph(graph_of((6, 6, 1), 2, (ones(2, 3, 1, 1),)), Engine(2, 1, 8))


def test_pixels_of_padding_alone_are_refused():
    with pytest.raises(CompileError, match="conv2: padding 1 gives windows without a pixel"):
        compile_graph(graph_of((6, 6, 1), 2, (ones(2, 1, 1, 1),), (ones(2, 1, 1, 2), 1, 1)), Engine(2, 1, 8))
