import json

import numpy as np
import pytest

from sw import ir
from sw.errors import ArtifactError, CompileError
from sw.files import npz_bytes
from sw.graph_file import load_graph, save_graph
from tests.sw.networks import random_cnn, random_mlp
from tests.sw.residuals import random_residual
from tests.sw.trained import random_trained

METADATA = {"accuracy": {"float": 0.875, "integer": 0.875, "images": 10_000}, "data": "fashion-mnist", "pools": [2, 4]}


@pytest.mark.parametrize("graph", [
    random_cnn(1, channels=(3, 5), pools=(1,)), random_cnn(4, bits=6, levels=np.arange(256) * 3 % 64),
    random_mlp(2, sizes=((3, 3, 2), 5, 4), bits=4), random_trained(3).replace(metadata=METADATA), random_residual(1),
], ids=lambda graph: graph.name)
def test_save_load_save(graph, tmp_path):
    first = save_graph(graph, tmp_path / "first")
    loaded = load_graph(tmp_path / "first")
    assert ir.equal(loaded, graph)
    assert all(not value.flags.writeable for node in loaded.nodes for value in vars(node).values()
               if isinstance(value, np.ndarray))
    second = save_graph(loaded, tmp_path / "second")
    assert [path.name for path in first] == ["graph.json", "graph.npz"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["graph.json", "graph.npz"]


def test_weights_are_stored_as_bits(tmp_path):
    save_graph(random_mlp(1, sizes=(20, 10, 4)), tmp_path)
    with np.load(tmp_path / "graph.npz") as arrays:
        assert {name: arrays[name].nbytes for name in arrays} == {
            "linear1.weights": 25, "sign1.thresholds": 40, "head.weights": 5, "scores.offsets": 16}


def test_every_kind_of_node_is_stored():
    kinds = {type(node) for graph in (random_residual(1), random_trained(3)) for node in graph.nodes}
    assert kinds == set(ir.KINDS)


def test_files_without_the_newer_fields_load(tmp_path):
    """As they were written when convolutions had no groups and one bit of weights, and inputs no levels."""
    save_graph(random_cnn(1), tmp_path)

    def older(header):
        for fields in header["nodes"]:
            if fields["kind"] == "Conv":
                del fields["groups"], fields["weight_bits"]
            if fields["kind"] == "Input":
                del fields["levels"]

    edit(tmp_path / "graph.json", older)
    assert ir.equal(load_graph(tmp_path), random_cnn(1))


def test_weights_of_several_bits_are_stored(tmp_path):
    conv = ir.Conv("conv", "image", [[[[255, -3]]], [[[1, -1]]]], groups=2, weight_bits=8)
    given = ir.Graph((ir.Input("image", (1, 1, 4), 8), conv, ir.Scores("scores", "conv", [0, 0])), "net")
    save_graph(given, tmp_path)
    loaded = load_graph(tmp_path).node("conv")
    assert loaded.weights.dtype == np.int16
    assert (loaded.weights.tolist(), loaded.groups, loaded.weight_bits) == (conv.weights.tolist(), 2, 8)


def test_npz_bytes_tell_no_time():
    arrays = {"a": np.arange(5), "b": np.zeros((2, 3), np.float32)}
    assert npz_bytes(arrays) == npz_bytes(arrays)
    assert npz_bytes(arrays) != npz_bytes({"a": arrays["a"]})


def test_metadata_that_json_cannot_hold(tmp_path):
    for value in (np.float32(1), float("nan")):
        with pytest.raises(CompileError, match="^network random-cnn-1: JSON cannot hold its metadata: .*$"):
            save_graph(random_cnn(1).replace(metadata={"x": value}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def edit(path, change):
    header = json.loads(path.read_text())
    change(header)
    path.write_text(json.dumps(header))


DAMAGE = {
    "no json": (lambda folder: (folder / "graph.json").unlink(), r".*graph\.json is missing"),
    "no npz": (lambda folder: (folder / "graph.npz").unlink(), r".*graph\.npz is missing"),
    "truncated json": (lambda folder: (folder / "graph.json").write_text((folder / "graph.json").read_text()[:99]),
                       r".*graph\.json is damaged or is no graph"),
    "another json": (lambda folder: (folder / "graph.json").write_text("[1, 2]"),
                     r".*graph\.json is damaged or is no graph"),
    "not text": (lambda folder: (folder / "graph.json").write_bytes(b"\xff\xfe{"),
                 r".*graph\.json is damaged or is no graph"),
    "truncated npz": (lambda folder: (folder / "graph.npz").write_bytes((folder / "graph.npz").read_bytes()[:-1]),
                      r".*graph\.npz does not have the sha256 that graph\.json states"),
    "schema": (lambda folder: edit(folder / "graph.json", lambda header: header.update(schema=99)),
               r".*graph\.json has schema 99, but this version reads 1"),
    "kind": (lambda folder: edit(folder / "graph.json", lambda header: header["nodes"][1].update(kind="Gru")),
             r".*graph\.json lists no graph: 'Gru'"),
    "field": (lambda folder: edit(folder / "graph.json", lambda header: header["nodes"][1].update(dilation=2)),
              r".*graph\.json lists no graph: .*dilation.*"),
    "array": (lambda folder: edit(folder / "graph.json",
                                  lambda header: header["nodes"][1]["weights"].update(array="x")),
              r".*graph\.json lists no graph: .*x.*"),
    "shape": (lambda folder: edit(folder / "graph.json",
                                  lambda header: header["nodes"][1]["weights"].update(signs=[4, 3, 3, 9])),
              r".*graph\.json lists no graph: .*"),
    "graph": (lambda folder: edit(folder / "graph.json", lambda header: header["nodes"][1].update(padding=-1)),
              r".*graph\.json lists no graph: conv1: padding must be .*"),
    "no nodes": (lambda folder: edit(folder / "graph.json", lambda header: header.pop("nodes")),
                 r".*graph\.json lists no graph: 'nodes'"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damaged(damage, message, tmp_path):
    save_graph(random_cnn(1), tmp_path)
    damage(tmp_path)
    with pytest.raises(ArtifactError, match=f"^{message}; export the network again with python -m sw.export$"):
        load_graph(tmp_path)
