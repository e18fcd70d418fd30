import subprocess
import sys

import numpy as np
import pytest

from sw import ir
from sw.errors import CompileError
from tests.sw import scalar_model
from tests.sw.networks import random_cnn, random_mlp


def ones(*shape):
    return np.ones(shape, np.int8)


def chain(*nodes, shape=(6, 5, 2), bits=8):
    return ir.Graph((ir.Input("image", shape, bits), *nodes), "net")


NORM = {"gain": [1, 2], "bias": [0, 0], "mean": [0, 0], "variance": [1, 1], "epsilon": 1e-5}


@pytest.mark.parametrize(("conv", "shape"), [
    ({"weights": ones(3, 3, 3, 2)}, (4, 3, 3)),
    ({"weights": ones(3, 3, 3, 2), "padding": 1}, (6, 5, 3)),
    ({"weights": ones(3, 3, 3, 2), "padding": 1, "pad_value": -255}, (6, 5, 3)),
    ({"weights": ones(3, 3, 3, 2), "padding": 1, "stride": 2}, (3, 3, 3)),
    ({"weights": ones(1, 2, 2, 2), "stride": 2}, (3, 2, 1)),
    ({"weights": ones(4, 1, 5, 2), "stride": 3}, (2, 1, 4)),
    ({"weights": ones(7, 6, 5, 2)}, (1, 1, 7)),
])
def test_conv_shape(conv, shape):
    assert chain(ir.Conv("conv", "image", **conv)).shape("conv") == shape


def test_shapes_follow_the_chain():
    graph = chain(ir.Conv("conv", "image", ones(2, 1, 1, 2)), ir.MaxPool("pool", "conv", 2),
                  ir.BatchNorm("norm", "pool", **NORM), ir.Sign("sign", "norm"),
                  ir.Conv("head", "sign", ones(3, 3, 2, 2)), ir.Scores("scores", "head", [1, 2, 3]))
    assert [graph.shape(node.name) for node in graph.nodes] == [
        (6, 5, 2), (6, 5, 2), (3, 2, 2), (3, 2, 2), (3, 2, 2), (1, 1, 3), (1, 1, 3)]
    assert graph.node("pool") is graph.nodes[2]
    assert graph.consumers("pool") == (graph.nodes[3],)
    assert graph.consumers("scores") == ()
    assert graph.inputs is graph.nodes[0]


def test_arrays_are_copied_and_read_only():
    weights = np.ones((1, 1, 1, 2), np.float32)
    conv = ir.Conv("conv", "image", weights)
    weights[:] = -1
    assert conv.weights.dtype == np.int8
    assert conv.weights.tolist() == [[[[1, 1]]]]
    with pytest.raises(ValueError, match="read-only"):
        conv.weights[0] = -1


@pytest.mark.parametrize(("make", "message"), [
    (lambda: ir.Sign("", "image"), "a layer's name must be a string that is not empty, not ''"),
    (lambda: ir.Input("image", (28, 28), 8), r"image: shape must be \(H, W, C\), all positive, not \(28, 28\)"),
    (lambda: ir.Input("image", (28, 0, 1), 8), r"image: shape must be .*"),
    (lambda: ir.Input("image", (1, 1, 1), 9), "image: bits must be an integer from 1 to 8, not 9"),
    (lambda: ir.Input("image", (1, 1, 1), 8, [0] * 255), "image: levels must be 256 .* to 255, not 255 up to 0"),
    (lambda: ir.Input("image", (1, 1, 1), 3, [8] * 256), "image: levels .* from 0 to 7, not 256 up to 8"),
    (lambda: ir.Input("image", (1, 1, 1), 8, [256] * 256), "image: levels must be finite numbers that uint8 .*"),
    (lambda: ir.Input("image", (1, 1, 1), 3, [[0, 1, 2]] * 256),
     "image: a pixel must become at most 8 bits, not 3 integers of 3; use fewer levels a pixel"),
    (lambda: ir.Input("image", (1, 1, 1), 1, [[0, 1]] * 255), "image: levels must be 256 .* to 1, not 255 up to 1"),
    (lambda: ir.Conv("conv", "image", np.zeros((1, 1, 1, 1))),
     "conv: weights must be -1 or \\+1; take the sign of the latent weights"),
    (lambda: ir.Conv("conv", "image", np.full((1, 1, 1, 1), 0.5)),
     "conv: weights must be finite numbers that int8 holds exactly; round them first"),
    (lambda: ir.Conv("conv", "image", np.full((1, 1, 1, 1), np.nan)), "conv: weights must be finite .*"),
    (lambda: ir.Conv("conv", "image", np.full((1, 1, 1, 1), 257)), "conv: weights must be finite .*"),
    (lambda: ir.Conv("conv", "image", ones(3, 3, 2)),
     r"conv: weights must be an array of 4 dimension\(s\) that is not empty, not of shape \(3, 3, 2\)"),
    (lambda: ir.Conv("conv", "image", ones(0, 3, 3, 2)), "conv: weights must be an array of 4 .*"),
    (lambda: ir.Conv("conv", "image", ones(1, 1, 1, 1), 0),
     "conv: stride must be an integer of at least 1, not 0"),
    (lambda: ir.Conv("conv", "image", ones(1, 1, 1, 1), 1, -1), "conv: padding must be .* at least 0, not -1"),
    (lambda: ir.Conv("conv", "image", ones(1, 1, 1, 1), 1, (1, 1)), "conv: padding must be .* not \\(1, 1\\)"),
    (lambda: ir.Conv("conv", "image", ones(1, 1, 1, 1), 1, 1, 1), "conv: pad_value must be .* -255 to 0, not 1"),
    (lambda: ir.BatchNorm("norm", "conv", **{**NORM, "variance": [1, -1]}),
     r"norm: variance \+ epsilon must be above 0 in each channel and neither below 0, not -1.0 \+ 1e-05"),
    (lambda: ir.BatchNorm("norm", "conv", **{**NORM, "variance": [1, 0], "epsilon": 0}), "norm: variance .*"),
    (lambda: ir.BatchNorm("norm", "conv", **{**NORM, "epsilon": float("inf")}), "norm: variance .*"),
    (lambda: ir.BatchNorm("norm", "conv", **{**NORM, "gain": [1, np.inf]}), "norm: gain must be finite .*"),
    (lambda: ir.BatchNorm("norm", "conv", **{**NORM, "gain": [1, 0.1]}),
     "norm: gain must be finite numbers that float32 holds exactly; round them first"),
    (lambda: ir.MaxPool("pool", "conv", 1), "pool: size must be an integer of at least 2, not 1"),
    (lambda: ir.Threshold("sign", "conv", [1 << 31]), "sign: thresholds must be finite numbers that int32 .*"),
    (lambda: ir.Scores("scores", "conv", [0.5]), "scores: offsets must be finite numbers that int32 .*"),
])
def test_node_refused(make, message):
    with pytest.raises(CompileError, match=f"^{message}$"):
        make()


CONV = ir.Conv("conv", "image", ones(2, 3, 3, 2))


@pytest.mark.parametrize(("nodes", "message"), [
    ((), "network net: its first node, and no other, must be an input"),
    ((CONV,), "network net: its first node, and no other, must be an input"),
    ((ir.Input("image", (6, 5, 2), 8), ir.Input("more", (6, 5, 2), 8)), "network net: its first node, .*"),
    ((ir.Input("image", (6, 5, 2), 8), CONV, CONV), "conv: two layers have this name; rename one"),
    ((ir.Input("image", (6, 5, 2), 8), CONV, ir.Sign("sign", "con")),
     "sign: no layer before it is named 'con'; those before it are image, conv"),
    ((ir.Input("image", (6, 5, 3), 8), CONV), "conv: weights take 2 channels, but image has 3"),
    ((ir.Input("image", (2, 5, 2), 8), CONV),
     "conv: kernel 3 x 3 is larger than the map 2 x 5 with padding 0; use a smaller kernel"),
    ((ir.Input("image", (6, 5, 2), 8), ir.BatchNorm("norm", "image", **{**NORM, "bias": [1]})),
     "norm: bias has 1 values for 2 channels; give each channel one"),
    ((ir.Input("image", (6, 5, 2), 8), ir.Threshold("sign", "image", [1])),
     "sign: thresholds has 1 values for 2 channels; give each channel one"),
    ((ir.Input("image", (6, 1, 2), 8), ir.MaxPool("pool", "image", 2)),
     "pool: size 2 is larger than the map 6 x 1; use a smaller pool or leave it out"),
    ((ir.Input("image", (6, 5, 2), 8), ir.Scores("scores", "image", [1, 2])),
     "scores: scores need a 1 x 1 map, but image is 6 x 5; end the network with a fully connected layer"),
    ((ir.Input("image", (1, 1, 2), 8), ir.Scores("scores", "image", [1])), "scores: offsets has 1 values for 2 .*"),
    ((ir.Input("image", (1, 1, 1), 8), ir.Scores("scores", "image", [1]), ir.Sign("sign", "scores")),
     "sign: scores gives the scores, which no layer may follow"),
    ((ir.Input("image", (6, 5, 2), 4), ir.Conv("conv", "image", ones(1, 3, 3, 2), 1, 1, -255)),
     "conv: pad_value must be -15 or 0 here, not -255; only the image can be padded with black"),
    ((ir.Input("image", (6, 5, 2), 1), ir.Sign("sign", "image"), ir.Conv("conv", "sign", ones(1, 3, 3, 2), 1, 1, -1)),
     "conv: pad_value must be 0 here, not -1; only the image can be padded with black"),
])
def test_graph_refused(nodes, message):
    with pytest.raises(CompileError, match=f"^{message}$"):
        ir.Graph(nodes, "net")


@pytest.mark.parametrize("ask", [lambda graph: graph.node("x"), lambda graph: graph.shape("x"),
                                 lambda graph: graph.consumers("x")])
def test_unknown_name(ask):
    with pytest.raises(CompileError, match="^network net has no layer 'x', but image, conv$"):
        ask(chain(CONV))


def test_equal():
    assert ir.equal(random_cnn(1), random_cnn(1))
    assert not ir.equal(random_cnn(1), random_cnn(1).replace(name="other"))
    assert not ir.equal(random_cnn(1), random_cnn(1).replace(metadata={"seed": 1}))
    assert not ir.equal(random_cnn(1), random_mlp(1))
    graph = random_cnn(1)
    scores = ir.Scores("scores", "head", graph.nodes[-1].offsets + 1)
    assert not ir.equal(graph, graph.replace(nodes=(*graph.nodes[:-1], scores)))


@pytest.mark.parametrize("graph", [
    random_cnn(1, shape=(7, 9, 2), channels=(3, 4, 5), pools=(1,)),
    random_cnn(2, shape=(11, 10, 1), bits=3, channels=(2, 3), pools=(1, 2), padding=0),
    random_cnn(3, shape=(9, 10, 1), channels=(2, 3), stride=(1, 2), padding=(1, 0), kernel=(3, 2)),
    random_cnn(4, shape=(10, 10, 1), channels=(2, 3), stride=(1, 3), padding=1, kernel=(3, 1)),
    random_mlp(5, sizes=((3, 4, 2), 6, 5, 3)),
])
def test_binary_macs(graph):
    for node in graph.nodes:
        if isinstance(node, ir.Conv):
            planes = graph.inputs.bits if node.source == "input" else 1
            pixels = scalar_model.needed_pixels(graph, node.name)
            assert ir.binary_macs(graph, node.name) == pixels * node.weights.size * planes


def test_binary_macs_beside_a_dead_end():
    graph = random_cnn(1, shape=(7, 7, 1), channels=(2,))
    dead = graph.replace(nodes=(*graph.nodes[:2], ir.MaxPool("aside", "conv1", 2), *graph.nodes[2:]))
    assert ir.binary_macs(dead, "conv1") == ir.binary_macs(graph, "conv1") == 49 * 18 * 8


def test_binary_macs_by_hand():
    # 7 x 7 outputs of which a 2 x 2 pool takes 6 x 6; 18 weights, 8 bits.
    graph = random_cnn(1, shape=(7, 7, 1), channels=(2,), pools=(1,), classes=3)
    assert ir.binary_macs(graph, "conv1") == 36 * 18 * 8
    assert ir.binary_macs(graph, "head") == 3 * 3 * 2 * 3
    with pytest.raises(CompileError, match="^sign1: a convolution is wanted, not a node Threshold$"):
        ir.binary_macs(graph, "sign1")


def test_the_ir_and_what_reads_it_need_no_torch():
    modules = "sw.ir, sw.graph_file, sw.reference, sw.passes, sw.zoo, sw.frontend.bnn_pynq"
    code = f"import sys, {modules}; print(sorted({{'torch', 'amaranth', 'safetensors'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
