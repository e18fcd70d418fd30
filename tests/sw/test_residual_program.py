"""A program with words: an interpreter that knows only its contents computes the network."""

import pytest

from sw.compile import compile_graph
from sw.descriptor import WORDS
from sw.engine import Engine
from sw.errors import FitError
from sw.reference import run
from tests.sw.interpreter import WordInterpreter
from tests.sw.networks import random_images
from tests.sw.word_networks import Unit, random_residual

NETWORKS = {
    "identity": (random_residual(1), Engine(4, 3, 8)),
    "one column, colours": (random_residual(2, (6, 7, 3), 2, units=(Unit(8), Unit(8))), Engine(4, 1, 8)),
    "colours, one window buffer": (random_residual(16, (8, 10, 3), 8, stem=16, units=(Unit(16), Unit(32, "average"))),
                                   Engine(8, 3, 16, window_buffers=1)),
    "average and pad": (random_residual(3, units=(Unit(8), Unit(16, "average"), Unit(16)), classes=4), Engine(4, 3, 8)),
    "option A": (random_residual(4, (9, 8, 1), units=(Unit(16, "subsample"), Unit(16))), Engine(4, 3, 16)),
    "average and repeat": (
        random_residual(5, units=(Unit(16, "average", repeat=True), Unit(32, "average", repeat=True))),
        Engine(8, 3, 8)),
    "tiles": (random_residual(6, stem=4, stem_tiles=2, units=(Unit(8, tiles=4), Unit(16, "average", tiles=4))),
              Engine(4, 3, 8)),
    "tiles, a group short of rows": (
        random_residual(7, stem=4, stem_tiles=2, units=(Unit(8, tiles=4), Unit(8, tiles=4))), Engine(4, 3, 8)),
    "tiles that change order": (random_residual(8, stem=8, stem_tiles=2, units=(Unit(16, tiles=4), Unit(16, tiles=4))),
                                Engine(4, 3, 8)),
    "slopes": (random_residual(9, units=(Unit(8, bend=True), Unit(16, "average", bend=True)), thresholds=True),
               Engine(4, 3, 8, popcount_stages=1)),
    "no shortcut, signs": (random_residual(10, units=(Unit(8, "none"), Unit(8, "none", plain=True), Unit(8, "none"))),
                           Engine(4, 3, 8)),
    "groups": (random_residual(11, stem=16, units=(Unit(16, groups=2), Unit(16, groups=4, kernel=1))), Engine(4, 3, 4)),
    "groups of whole words": (random_residual(12, stem=16, units=(Unit(16, groups=2), Unit(16))), Engine(4, 5, 4)),
    "shuffle": (random_residual(16, stem=16, units=(Unit(16, groups=2, shuffle=True), Unit(16, groups=2, shuffle=True),
                                                    Unit(32, "average", groups=2, shuffle=True), Unit(32, kernel=1))),
                Engine(4, 3, 8)),
    "shuffle, words of several groups": (
        random_residual(17, stem=32, units=(Unit(32, "same", groups=2, shuffle=True), Unit(32, groups=2, shuffle=True,
                                            bend=True), Unit(64, "average", repeat=True, groups=2, shuffle=True))),
        Engine(8, 3, 16)),
    "four groups, shuffle": (
        random_residual(18, (6, 6, 1), 2, stem=64, units=(
            Unit(64, groups=4, shuffle=True, kernel=1), Unit(64, "none", groups=4, shuffle=True, plain=True, kernel=1),
            Unit(64, "none", groups=4, shuffle=True, kernel=1))),
        Engine(4, 1, 16)),
    "words in another order": (
        random_residual(19, units=(Unit(8, mix=True), Unit(16, "average", mix=True), Unit(16)), thresholds=True),
        Engine(4, 3, 8)),
    "partial rows, words of 6 bits": (random_residual(13, stem=10, units=(Unit(10), Unit(14)), word_bits=6),
                                      Engine(4, 3, 16)),
    "stem alone": (random_residual(15, units=()), Engine(4, 3, 8)),
    "reduced sums, many classes": (random_residual(14, units=(Unit(8),), classes=10, reduce=3), Engine(4, 5, 8)),
}


@pytest.mark.parametrize(("name", "shared"), [
    *((name, False) for name in NETWORKS),
    *((name, True) for name, (_, engine) in NETWORKS.items() if engine.columns <= 4),  # one of four RAMs a column
])
def test_interpreter_computes_the_network(name, shared):
    graph, engine = NETWORKS[name]
    images = random_images(3, graph.inputs.shape, 3)
    interpreter = WordInterpreter(compile_graph(graph, engine, shared))
    assert [interpreter.run(image) for image in images] == run(graph, images).scores.tolist()


@pytest.mark.parametrize(("graph", "engine", "text"), [
    (random_residual(5, (60, 60, 1), 2, units=(Unit(8),)), Engine(4, 3, 8),
     "scores: its sums over 60 x 60 words of 8 bits have 20 bits, where a factor has 16; use a smaller last map"),
    (random_residual(5), Engine(4, 3, 2), "scores: weights of 8 bits need a weight word of at least two, not of 8 b"),
    (random_residual(5, units=(Unit(8),), classes=200), Engine(4, 3, 8), "scores: "),
    (random_residual(5, stem=1024, units=()), Engine(4, 1, 16), "stem.conv: the first convolution's 1024 channels n"),
])
def test_what_does_not_fit_is_refused(graph, engine, text):
    with pytest.raises(FitError) as error:
        compile_graph(graph, engine)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize(("name", "late"), [
    ("identity", [0, 0, 0, 0]), ("average and repeat", [0, 1, 1, 0]), ("one column, colours", [0, 0, 0, 1]),
])
def test_a_fetch_waits_where_words_could_hold_it_up(name, late):
    """Only a store that lies beside the words can be held up; averages read four words for each that they make."""
    for shared in (False, True):
        words = compile_graph(*NETWORKS[name], shared_store=shared).descriptors
        blocks = [WORDS.decode(words[start:start + WORDS.words]) for start in range(0, len(words), WORDS.words)]
        assert [block["late"] for block in blocks] == (late if shared else [0] * len(late))
