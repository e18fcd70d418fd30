"""What a network must share with a program's hardware, and the fields that make room for it."""

import dataclasses

import numpy as np
import pytest

from sw import ir
from sw.compile import compile_graph
from sw.engine import Engine
from sw.reference import run
from sw.structure import differences
from tests.sw.interpreter import Interpreter, WordInterpreter
from tests.sw.networks import random_cnn, random_images, random_mlp
from tests.sw.word_networks import Unit, random_residual

SHAPE, ENGINE = {"bits": 2, "channels": (8, 16), "pools": (1,)}, Engine(4, 3, 8)
UNITS = {"units": (Unit(8), Unit(16, "average"))}


def cnn(seed, **changes):
    return random_cnn(seed, **{**SHAPE, **changes})


def with_thresholds(graph, most):
    """The graph with thresholds from -most to most."""
    random = np.random.default_rng(most)
    nodes = [
        dataclasses.replace(node, thresholds=random.integers(-most, most + 1, len(node.thresholds)).astype(np.int32))
        if isinstance(node, ir.Threshold) else node for node in graph.nodes
    ]
    return dataclasses.replace(graph, nodes=tuple(nodes))


def test_other_values_and_names_are_no_difference():
    built = compile_graph(cnn(1), ENGINE)
    wanted = compile_graph(dataclasses.replace(cnn(2), name="another"), ENGINE, least=built)
    assert differences(built, wanted) == []
    assert not np.array_equal(built.weights, wanted.weights)


@pytest.mark.parametrize(("graph", "engine", "expected"), [
    (cnn(2, shape=(8, 10, 1)), ENGINE, "image 8x8x1 in the build, 8x10x1 in the network"),
    (cnn(2, bits=3), ENGINE, "bits of a pixel 2 in the build, 3 in the network"),
    (cnn(2, classes=4), ENGINE, "classes 3 in the build, 4 in the network"),
    (cnn(2, channels=(8, 8)), ENGINE, "weight ROM (words, bits) 72x32 in the build, 38x32 in the network"),
    (cnn(2, channels=(8, 16, 8)), ENGINE, "layers 3 in the build, 4 in the network"),
    (cnn(2, pools=()), ENGINE, "pools yes in the build, no in the network"),
    (cnn(2), Engine(4, 3, 8, 2), ("array 4 rows x 3 columns x 8 lanes, 1 drained a cycle in the build, "
                                 "4 rows x 3 columns x 8 lanes, 2 drained a cycle in the network")),
    (random_residual(1, **UNITS), ENGINE, "words on shortcuts no in the build, yes in the network"),
])
def test_each_difference_is_named(graph, engine, expected):
    assert expected in differences(compile_graph(cnn(1), ENGINE), compile_graph(graph, engine))


def test_a_descriptor_that_differs():
    sizes = [(10, 10, 1), 16, 24, 3], [(10, 10, 1), 24, 16, 3]
    built, wanted = (compile_graph(random_mlp(3, size), Engine(8, 1, 8)) for size in sizes)
    # 2 + 3 + 1 channel groups and 3 + 2 + 1; the words of the ROMs made equal, the sequence alone tells.
    same = dataclasses.replace(
        wanted, weights=built.weights, thresholds=built.thresholds, threshold_width=built.threshold_width,
        feature_depth=built.feature_depth, score_width=built.score_width, sum_width=built.sum_width)
    assert differences(built, same)[0] == ("step 1 of the program, channel groups - 1: 1 in the build, "
                                           "2 in the network")


def test_wide_thresholds_do_not_fit_narrow_ones():
    built = compile_graph(with_thresholds(cnn(1, classes=4), 3), ENGINE)
    wanted = compile_graph(with_thresholds(cnn(1, classes=4), 70), ENGINE, least=built)
    assert wanted.threshold_width > built.threshold_width
    assert differences(built, wanted) == [
        f"bits of a threshold {built.threshold_width} in the build, {wanted.threshold_width} in the network"]


def test_narrow_thresholds_in_wide_fields():
    graph = cnn(2)
    built = dataclasses.replace(compile_graph(cnn(1), ENGINE), threshold_width=14, score_width=15)
    wanted = compile_graph(graph, ENGINE, least=built)
    assert (wanted.threshold_width, wanted.score_width) == (14, 15)
    assert differences(built, wanted) == []
    images = random_images(3, graph.inputs.shape, 3)
    interpreter = Interpreter(wanted)
    assert [interpreter.run(image) for image in images] == run(graph, images).scores.tolist()


def test_scores_of_other_bytes_are_a_difference():
    built = dataclasses.replace(compile_graph(cnn(1), ENGINE), score_width=17)
    wanted = compile_graph(cnn(2), ENGINE, least=built)
    assert wanted.score_bytes == 2
    assert any(line.startswith("bits of a score 17 in the build, ") for line in differences(built, wanted))


@pytest.mark.parametrize("shared", [False, True])
def test_narrow_constants_in_wide_fields(shared):
    graph = random_residual(2, **UNITS)
    narrow = compile_graph(graph, ENGINE, shared)
    form = narrow.words.constants
    wide = dataclasses.replace(form, gain=form.gain + 2, threshold=form.threshold + 3)
    least = dataclasses.replace(narrow, words=dataclasses.replace(narrow.words, constants=wide))
    wanted = compile_graph(graph, ENGINE, shared, least)
    assert wanted.words.constants == wide
    assert differences(narrow, wanted)[-2:] == [
        f"bits of a channel's gain {form.gain} in the build, {form.gain + 2} in the network",
        f"bits of a channel's threshold {form.threshold} in the build, {form.threshold + 3} in the network"]
    images = random_images(3, graph.inputs.shape, 2)
    interpreter = WordInterpreter(wanted)
    assert [interpreter.run(image) for image in images] == run(graph, images).scores.tolist()


def test_slopes_keep_their_own_fields():
    bent = compile_graph(random_residual(9, units=(Unit(8, bend=True),)), ENGINE)
    plain = random_residual(9, units=(Unit(8),))
    assert compile_graph(plain, ENGINE, least=bent).words.constants == compile_graph(plain, ENGINE).words.constants
