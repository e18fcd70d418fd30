import shutil
import time

import numpy as np
import pytest

from sw import ir, models, zoo
from sw.compile import interface_of
from sw.errors import ArtifactError, CompileError, UnsupportedLayerError
from sw.frontend.integer_import import import_integers
from sw.graph_file import npz_bytes, save_graph
from sw.layers import chain_of_layers
from sw.nn.fixed import FixedPoint, set_fixed
from sw.passes import lower
from sw.reference import run
from tests.sw.networks import random_cnn, random_images
from tests.sw.residuals import random_residual
from tests.sw.trained import random_trained


@pytest.mark.parametrize("name", zoo.names())
def test_network(name):
    entry = zoo.load(name)
    assert (entry.name, entry.folder.name) == (name, name)
    assert (entry.folder / "checkpoint.safetensors").is_file()
    assert interface_of(entry.graph).classes == 10
    assert entry.images.dtype == np.uint8
    assert entry.images.shape[1:] == entry.graph.inputs.shape
    assert entry.labels.shape == (len(entry.images),)
    assert entry.accuracy["images"] == 10_000
    right = (run(entry.graph, entry.images).classes == entry.labels).mean()
    assert right == pytest.approx(entry.accuracy["integer"], abs=0.08)  # 300 of the 10,000: four standard errors


def test_names():
    assert zoo.default() in zoo.names()
    assert list(zoo.names()) == sorted(zoo.names())


def test_a_graph_loads_at_once():
    times = []
    for _ in range(3):
        start = time.perf_counter()
        zoo.load(zoo.default())
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


def test_unknown_name():
    with pytest.raises(CompileError) as caught:
        zoo.load("cnn-fashon")
    assert str(caught.value) == (f"unknown network: 'cnn-fashon'. There are: {', '.join(zoo.names())}, or a folder of "
                                 f"python -m sw.export; did you mean cnn-fashion?")
    with pytest.raises(CompileError, match="^unknown network: '42'. There are: [^;]*$"):
        zoo.resolve("42")


def folder_of(path, graph=None):
    """A folder as ``sw.export`` leaves it, but for accuracy and checkpoint."""
    save_graph(graph or random_cnn(1), path)
    images = random_images(1, (8, 8, 1), count=3)
    (path / "sample.npz").write_bytes(npz_bytes({"images": images, "labels": np.arange(3, dtype=np.uint8)}))
    return path


def test_folder_of_ones_own(tmp_path):
    folder = folder_of(tmp_path / "mine")
    for given in (folder, str(folder)):
        entry = zoo.load(given)
        assert ir.equal(entry.graph, random_cnn(1))
        assert entry.folder == folder
        assert np.array_equal(entry.images, random_images(1, (8, 8, 1), count=3))
        assert entry.labels.tolist() == [0, 1, 2]
        assert entry.accuracy == {}


def test_folder_without_graph(tmp_path):
    with pytest.raises(CompileError, match=r"^network folder .* has no graph\.json; make it with python -m sw"):
        zoo.resolve(tmp_path)


def test_folder_of_a_graph_that_is_not_lowered(tmp_path):
    with pytest.raises(UnsupportedLayerError, match=r"run sw\.passes\.lower"):
        zoo.load(folder_of(tmp_path, random_trained(1)))


def test_any_lowered_network_loads_and_the_engine_says_what_it_lacks(tmp_path):
    graph = random_residual(3)
    entry = zoo.load(folder_of(tmp_path, graph))
    assert ir.equal(entry.graph, graph)
    with pytest.raises(UnsupportedLayerError) as caught:
        interface_of(entry.graph)
    named = {reason.split(":")[0] for reason in caught.value.reasons}
    assert len(caught.value.reasons) > 2 and named <= {node.name for node in graph.nodes}
    assert any("an addition in a place where the engine has none" in reason for reason in caught.value.reasons)


@pytest.mark.parametrize("method", ["recu", "insta-plus"])
def test_exported_residual_network_loads(method, tmp_path):
    model = models.build("resnet8", method=method, image=(1, 8, 8), widths=(4, 8))
    set_fixed(model, FixedPoint())
    graph = lower(import_integers(model, (8, 8, 1), "residual"))
    entry = zoo.load(folder_of(tmp_path, graph))
    assert ir.equal(entry.graph, graph)
    with pytest.raises(UnsupportedLayerError) as caught:
        interface_of(entry.graph)
    assert caught.value.reasons[0].startswith("stem.conv: weights of 8 bits, which only the last layer may have")


def test_exported_chain_is_one_for_the_engine(tmp_path):
    model = models.build("vgg-tiny", image=(1, 8, 8), widths=(4, 8))
    set_fixed(model, FixedPoint())
    imported = import_integers(model, (8, 8, 1), "chain")
    assert chain_of_layers(zoo.load(folder_of(tmp_path / "lowered", lower(imported))).graph)
    entry = zoo.load(folder_of(tmp_path / "imported", imported))  # words between bits: integers, though no chain
    with pytest.raises(UnsupportedLayerError) as caught:
        interface_of(entry.graph)
    assert caught.value.reasons[-1].startswith("layer2.conv.pool: a max pool in a place where the engine has none; ")


def test_every_batch_norm_is_named(tmp_path):
    count = 2
    nodes = [ir.Input("image", (8, 8, 1), 1), ir.Subsample("even", "image", 2)]
    for index in range(count):
        ones = np.ones(1, np.float32)
        nodes += [ir.BatchNorm(f"norm{index}", "even", ones, ones, ones, ones, 0.0),
                  ir.Sign(f"sign{index}", f"norm{index}")]
    with pytest.raises(UnsupportedLayerError) as caught:
        zoo.load(folder_of(tmp_path, ir.Graph(tuple(nodes), "real")))
    assert caught.value.reasons == tuple(
        f"{name}{index}: {kind}, which no lowered network has; run sw.passes.lower"
        for index in range(count) for name, kind in (("norm", "BatchNorm"), ("sign", "Sign")))


def test_folder_that_is_damaged(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "graph.npz").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"graph\.npz does not have the sha256"):
        zoo.load(folder)


@pytest.mark.parametrize(("damage", "message"), [
    (lambda path: path.unlink(), "cannot be read"),
    (lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be read"),
    (lambda path: path.write_bytes(npz_bytes({"images": np.zeros((3, 8, 8, 1), np.uint8)})), "cannot be read"),
    (lambda path: path.write_bytes(npz_bytes({"images": np.zeros((3, 9, 8, 1), np.uint8), "labels": np.zeros(3)})),
     r"its images \(3, 9, 8, 1\) and labels \(3,\) do not fit the network, which takes \(8, 8, 1\)"),
])
def test_sample_that_is_missing_or_damaged(damage, message, tmp_path):
    entry = zoo.load(folder_of(tmp_path))
    damage(tmp_path / "sample.npz")
    with pytest.raises(ArtifactError, match=rf"sample\.npz:? {message}.*; make it with python -m sw\.export$"):
        _ = entry.images


def test_a_copy_is_the_same_network(tmp_path):
    shutil.copytree(zoo.resolve(zoo.default()), tmp_path / "copy")
    assert ir.equal(zoo.load(tmp_path / "copy").graph, zoo.load(zoo.default()).graph)
