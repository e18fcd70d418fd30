"""Networks cut for engines in a row: the best cut against all of them, the programs against one engine's, refusals."""

from itertools import combinations

import numpy as np
import pytest

from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError, UnsupportedLayerError
from sw.layers import chain_of_layers
from sw.pipeline import balanced_cuts, compile_pipeline
from tests.sw.networks import random_cnn, random_mlp
from tests.sw.residuals import random_residual

CNN = random_cnn(31, (10, 9, 1), 2, (8, 12, 6, 8), pools=(1,), classes=5)
MLP = random_mlp(32, (40, 16, 12, 9, 4))
TOO_FAST = (
    "^conv2: 8 beats take the words of 2 columns to the next array, and more words are made before all have left; use "
    "the same lanes for both arrays, a smaller drain or fewer columns, or another cut$")
A, B, C = Engine(4, 3, 8, 2), Engine(6, 2, 8, 2), Engine(4, 1, 16, 2)


@pytest.mark.parametrize(("graph", "engines"), [
    (CNN, [A, B]), (CNN, [B, A]), (CNN, [A, B, C]), (CNN, [C, C]), (MLP, [Engine(4, 1, 8), Engine(2, 1, 8)]),
    (MLP, [Engine(4, 1, 8)] * 4),
])
def test_cuts_are_the_best_of_all(graph, engines):
    layers = chain_of_layers(graph)
    found = balanced_cuts(layers, engines)
    ranks = {}
    for cuts in combinations(range(1, len(layers)), len(engines) - 1):
        try:
            pipeline = compile_pipeline(graph, engines, cuts)
        except FitError:
            continue
        cycles = [program.schedule.cycles_per_frame for program in pipeline.programs]
        ranks[cuts] = max(cycles), sum(cycles)
    assert ranks[found] == min(ranks.values())
    pipeline = compile_pipeline(graph, engines)
    assert [len(program.layer_names) for program in pipeline.programs] == [
        end - start for start, end in zip((0, *found), (*found, len(layers)), strict=True)]
    assert pipeline.schedule.cycles_per_frame >= ranks[found][0]


def test_programs_are_parts_of_one_engines():
    """On engines of one shape the ROMs are those of one engine, cut."""
    whole, pipeline = compile_graph(CNN, B), compile_pipeline(CNN, [B, B, B], (2, 3))
    np.testing.assert_array_equal(np.concatenate([part.weights for part in pipeline.programs]), whole.weights)
    np.testing.assert_array_equal(np.concatenate([part.thresholds for part in pipeline.programs]), whole.thresholds)
    assert sum((part.layer_names for part in pipeline.programs), ()) == whole.layer_names
    assert (pipeline.image, pipeline.network) == (whole.image, whole.network)
    assert (pipeline.input_bytes, pipeline.result_bytes) == (whole.input_bytes, whole.result_bytes)
    assert (pipeline.classes, pipeline.score_bytes) == (whole.classes, whole.score_bytes)
    assert pipeline.binary_macs == whole.binary_macs
    assert [part.image for part in pipeline.programs[1:]] == [None, None]
    assert [link.name for link in pipeline.links] == [whole.layer_names[1], whole.layer_names[2]]
    for sender, receiver in zip(pipeline.programs, pipeline.programs[1:], strict=False):
        assert sender.target == receiver.source


def test_memories():
    pipeline = compile_pipeline(CNN, [A, Engine(4, 1, 8, 2), C], (1, 2))
    names = [[use.name for use in program.memories] for program in pipeline.programs]
    assert names == [["weights", "thresholds", "program", "input"], ["weights", "thresholds", "program", "maps"],
                     ["weights", "thresholds", "program", "maps", "results", "features"]]
    link, maps = pipeline.links[1], pipeline.programs[2].memories[3]
    # 12 channels of a word of 8 and one of 4 lanes, drained by two: parts of 4 bits in a word of 16.
    assert (link.width, maps.width, maps.copies) == (4, 4, 4)
    assert maps.depth == 2 * link.shape[0] * link.shape[1]


def test_share_of_synapses_and_of_3x3_layers():
    pipeline = compile_pipeline(CNN, [A, B], (2,))
    schedule = pipeline.schedule
    assert schedule.synapses_per_cycle == 4 * 3 * 8 + 6 * 2 * 8
    assert schedule.utilisation == pytest.approx(
        pipeline.binary_macs / (schedule.synapses_per_cycle * schedule.cycles_per_frame))
    rows = [layer for layer in schedule.layers if layer.is_3x3]
    assert schedule.utilisation_3x3 == pytest.approx(
        sum(row.ideal_cycles for row in rows) / sum(row.cycles for row in rows))
    assert compile_pipeline(MLP, [A, A]).schedule.utilisation_3x3 is None


def test_a_row_is_as_fast_as_its_slowest_engine():
    for engines in ([A, B], [B, A], [C, A, B]):
        pipeline = compile_pipeline(CNN, engines)
        alone = [program.schedule.cycles_per_frame for program in pipeline.programs]
        assert pipeline.schedule.cycles_per_frame == max(alone)


@pytest.mark.parametrize(("graph", "engines", "cuts", "error", "message"), [
    (random_residual(3), [A, B], None, UnsupportedLayerError, "a network with words on its shortcuts runs on one"),
    (MLP, [A] * 5, None, FitError,
     "has 4 layers, of which each engine takes one at least; use from 1 to 4 engines, not 5"),
    (MLP, [], None, FitError, "use from 1 to 4 engines, not 0"),
    (MLP, [A, A], (0,), FitError, r"cuts must be ascending numbers from 1 to 3, not \[0\]"),
    (MLP, [A, A, A], (2, 2), FitError, r"cuts must be ascending numbers from 1 to 3, not \[2, 2\]"),
    (MLP, [A, A], (1, 2), FitError, "2 engines need 1 cuts, not 2"),
    (CNN, [B, Engine(4, 1, 6)], (2,), FitError, TOO_FAST),
    (CNN, [Engine(4, 1, 7), A], None, FitError, "the array's lanes must be even, not 7"),
])
def test_what_cannot_be_cut(graph, engines, cuts, error, message):
    with pytest.raises(error, match=message):
        compile_pipeline(graph, engines, cuts)
