"""The schedule against a simulation of the same rules, cycle by cycle and event by event."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import pytest

from sw import ir
from sw.descriptor import BITS, SEQUENCER_WORDS
from sw.engine import Engine
from sw.errors import FitError, UnsupportedLayerError
from sw.folding import drain_for, plan_layer
from sw.layers import chain_of_layers
from sw.schedule import schedule_layers
from tests.sw.networks import random_cnn, random_mlp

#: Cycles of the hardware, each the sum of its components' documented latencies.
TRANSFER_TO_BYTE = 1  # the buffer at the edge
BEGIN_TO_ISSUE = 3 + 1  # passes, taps
ISSUE_TO_LOAD = 3 + 2  # words to the array, its sums
LOAD_TO_WRITE = 3
LOAD_TO_DONE = 2  # after the last step
CHECK_TO_BEGIN = BITS.drain_words + 1
ISSUED_TO_CHECK = SEQUENCER_WORDS + 1
LOAD_TO_SCORE = 2
SCORE_TO_RESULT = 2

NETWORKS = {
    "pool, masked columns": (random_cnn(21, (8, 8, 1), 4, (4, 6), pools=(1,), classes=5), Engine(4, 3, 8, 2)),
    "pool, even columns": (random_cnn(38, (8, 9, 1), 4, (4, 6), pools=(2,), classes=5), Engine(4, 4, 8, 2)),
    "colours, pool twice": (random_cnn(22, (13, 14, 3), 2, (10, 12, 6), pools=(1, 2)), Engine(4, 5, 4, 2)),
    "strides, one column": (random_cnn(23, (9, 8, 1), 8, (8, 8, 8), stride=(1, 2, 1)), Engine(4, 1, 8)),
    "stride in the window": (random_cnn(24, (9, 9, 2), 3, (6, 4), stride=(2, 1)), Engine(3, 2, 6, 3)),
    "wide kernels": (random_cnn(25, (9, 9, 1), 1, (4, 4, 4), kernel=(5, 5, 3), padding=(2, 2, 0)), Engine(2, 4, 8)),
    "one row of PEs": (random_cnn(26, (6, 5, 1), 2, (4, 2), kernel=(3, 1), padding=(1, 0)), Engine(1, 2, 2)),
    "writes every cycle": (random_cnn(27, (7, 7, 1), 1, (8, 8), kernel=(3, 1), padding=0), Engine(8, 2, 4, 4)),
    "popcount with a register": (
        random_cnn(27, (7, 7, 1), 1, (8, 8), kernel=(3, 1), padding=0), Engine(4, 2, 8, 4, popcount_stages=1)),
    "drain holds up": (random_cnn(28, (7, 7, 1), 1, (8, 12), kernel=(3, 1), padding=0), Engine(12, 2, 16, 1)),
    "vector": (random_mlp(29, (130, 40, 33, 10)), Engine(24, 1, 16, 8)),
    "vector, scores only": (random_mlp(30, (40, 5)), Engine(4, 2, 8)),
    "vector, short passes": (random_mlp(31, (16, 24, 24, 3)), Engine(4, 1, 16, 4)),
    "slow input": (random_cnn(32, (12, 12, 3), 1, (2,), stride=2, padding=0), Engine(8, 5, 32, 8)),
    "slow input, one window buffer": (
        random_cnn(34, (9, 12, 3), 3, (8, 6), stride=(1, 2)), Engine(4, 5, 16, 2, window_buffers=1)),
    "one window buffer, pool": (
        random_cnn(35, (11, 13, 1), 2, (4, 3), pools=(1,)), Engine(8, 3, 16, 8, window_buffers=1)),
    "one window buffer, passes of a beat": (
        random_cnn(36, (7, 8, 1), 1, (4, 4), kernel=(1, 3), padding=0), Engine(4, 3, 8, 4, window_buffers=1)),
    "slow output": (random_mlp(33, (16, 100)), Engine(64, 1, 16, 16)),
}


def issue_to_load(engine):
    """From a pass's last beat to its sums."""
    return ISSUE_TO_LOAD + engine.popcount_stages


def taps_inside(layer, engine, row, group, dy, dx):
    """(kernel row, kernel column) of the taps at which any column has a pixel inside the map; the first of each row
    inside if all columns lie behind the map.
    """
    height, width, _ = layer.in_shape
    first = (group * layer.pool + dx) * engine.columns * layer.stride - layer.padding
    return [
        (ky, kx) for ky in range(layer.weights.shape[1]) for kx in range(layer.weights.shape[2])
        if 0 <= (row * layer.pool + dy) * layer.stride - layer.padding + ky < height
        and (any(0 <= first + column * layer.stride + kx < width for column in range(engine.columns))
             or (kx == 0 and first >= width))
    ]


@dataclass
class Run:
    """What a layer did; cycles count from its begin. ``image_read`` is the last cycle of the last fetch."""

    beats: int = 0
    last: int = 0
    stalls: Counter = field(default_factory=Counter)
    image_read: int = 0


def passes_of(layer, engine):
    """Beats of each pass in order, the column group whose windows it is the first to take (or ``None``), and which
    steps of it write.
    """
    groups = ceil(layer.weights.shape[0] / engine.rows)
    taps_words = ceil(layer.weights[0].size / engine.lanes)
    for row in range(layer.out_shape[0]):
        for group in range(ceil(layer.out_shape[1] / engine.columns)):
            bits = 0
            for channels in range(groups):
                rows = min(engine.rows, len(layer.weights) - channels * engine.rows)
                for position in range(layer.pool**2):
                    dy, dx = divmod(position, layer.pool)
                    beats = layer.planes * taps_words
                    if layer.source == "features":
                        taps = taps_inside(layer, engine, row, group, dy, dx)
                        beats = len(taps) * ceil(layer.in_shape[2] / engine.lanes)
                    writing = []
                    if position == layer.pool**2 - 1 and not layer.is_head:
                        for step in range(ceil(rows / engine.drain)):
                            bits += engine.drain
                            whole = bits == engine.lanes
                            end = channels == groups - 1 and (step + 1) * engine.drain >= rows
                            if whole or end:
                                writing.append(step)
                                bits = 0
                    yield beats, group if channels == position == 0 else None, writing


def run_layer(layer, engine):
    """Issue the beats of a layer one cycle after the other."""
    run = Run()
    window = layer.source == "window"
    patch = (layer.pool - 1) * layer.stride + max(layer.weights.shape[1:3])

    def fetch(group):
        """Pixels: of a row's first group all columns that its windows touch, of the next ones as many as lie on."""
        return patch * (engine.columns * layer.step if group else (engine.columns - 1) * layer.step + patch)

    steps = engine.rows if layer.is_head else engine.rows // engine.drain
    writes = set()
    ready = fetch(0) + 1 if window else 0
    run.image_read = fetch(0)
    cycle, free = BEGIN_TO_ISSUE, 0
    todo = list(passes_of(layer, engine))
    upcoming = [group for _, group, _ in todo if group is not None][1:]
    for beats, group, writing in todo:
        for beat in range(beats):
            starts_group = window and group is not None and beat == 0
            if starts_group and engine.window_buffers == 1 and run.beats:
                ready = cycle + fetch(group) + 1
                run.image_read = cycle + fetch(group)
            while True:
                causes = {
                    "input": starts_group and cycle < ready,
                    "write": layer.source == "features" and cycle + 1 in writes,
                    "drain": beat == beats - 1 and cycle < free,
                }
                if not any(causes.values()):
                    break
                run.stalls[" and ".join(cause for cause, waits in causes.items() if waits)] += 1
                cycle += 1
            if starts_group and engine.window_buffers == 2 and upcoming:
                following = upcoming.pop(0)
                ready = cycle + fetch(following) + 1
                run.image_read = cycle + fetch(following)
            run.beats += 1
            run.last = cycle
            cycle += 1
        free = run.last + max(2, steps)  # a pass takes two cycles to work out
        writes |= {run.last + issue_to_load(engine) + LOAD_TO_WRITE + step for step in writing}
    return run


def recovery(layer, engine):
    """From a layer's last beat to the cycle in which the next one may be begun."""
    steps = engine.rows if layer.is_head else engine.rows // engine.drain
    return max(ISSUED_TO_CHECK, issue_to_load(engine) + steps + LOAD_TO_DONE + 1)


def run_frames(layers, runs, engine, frames):
    """(first cycle offered, last byte sent) of results, input always offered and results always taken."""
    flat = layers[0].source == "flat"
    size = int(np.prod(layers[0].in_shape))
    beats = ceil(size / 8) if flat else size
    classes = layers[-1].out_shape[2]
    buffers, taken = (2 if flat else 1), 0  # free input buffers, bytes in the one that is filled
    room = 2  # free result buffers
    buffer_freed, room_freed = set(), set()  # cycles in which one more is free
    whole, scored = [], []  # the first cycle in which a frame may begin, and a result be sent
    layer, check, idle_at = 0, ISSUED_TO_CHECK, 0  # the next layer, its earliest check; the sender is idle from
    results = []
    for cycle in range(100_000):
        buffers += cycle in buffer_freed
        room += cycle in room_freed
        taken += buffers > 0 and cycle >= TRANSFER_TO_BYTE
        if taken == beats:
            whole.append(cycle + 1)
            buffers, taken = buffers - 1, 0
        run, head = runs[layer], layer == len(layers) - 1
        arrived = layer > 0 or (whole and whole[0] <= cycle)
        if cycle >= check and arrived and (room or not head):
            begin = cycle + CHECK_TO_BEGIN
            check = begin + run.last + recovery(layers[layer], engine)
            if layer == 0:
                whole.pop(0)
                buffer_freed.add(begin + (run.last + 2 if flat else run.image_read + 1))
            if head:
                room -= 1
                last_score = begin + run.last + issue_to_load(engine) + LOAD_TO_SCORE + (classes - 1) % engine.rows
                scored.append(last_score + SCORE_TO_RESULT)
            layer = 0 if head else layer + 1
        if scored and cycle >= max(scored[0], idle_at):
            scored.pop(0)
            results.append((cycle, cycle + 2 * classes))
            room_freed.add(results[-1][1] + 1)
            idle_at = results[-1][1] + 2
        if len(results) == frames:
            return results
    raise AssertionError(f"{len(results)} of {frames} results in {cycle} cycles")


@pytest.mark.parametrize("name", NETWORKS)
def test_cycles(name):
    graph, engine = NETWORKS[name]
    layers = chain_of_layers(graph)
    schedule = schedule_layers(layers, engine)
    runs = [run_layer(layer, engine) for layer in layers]
    for layer, run, row in zip(layers, runs, schedule.layers, strict=True):
        assert (row.issue_cycles, row.stall_cycles) == (run.beats, sum(run.stalls.values())), layer.name
        for found, cause in ((row.write_stalls, "write"), (row.drain_stalls, "drain"), (row.input_stalls, "input")):
            shared = sum(count for causes, count in run.stalls.items() if cause in causes)
            assert run.stalls[cause] <= found <= shared, (layer.name, cause)
        # From the last beat to the next layer's begin, and from that to the first beat that it could issue.
        gap = recovery(layer, engine) + CHECK_TO_BEGIN + BEGIN_TO_ISSUE - 1
        assert (row.gap_cycles, row.cycles) == (gap, run.last + 1 + gap - BEGIN_TO_ISSUE)
        assert row.ideal_cycles * engine.synapses_per_cycle == pytest.approx(row.binary_macs)
        assert row.utilisation == pytest.approx(row.ideal_cycles / row.cycles)
    expected = run_frames(layers, runs, engine, 8)
    assert schedule.timing.ideal_run(8) == expected
    assert schedule.cycles_per_frame == expected[-1][1] - expected[-2][1]
    arrival = schedule.timing.beats - 1
    if arrival + TRANSFER_TO_BYTE >= ISSUED_TO_CHECK:  # the engine waits for the first frame
        assert schedule.latency_cycles == expected[0][1] - arrival
    busy = sum(row.cycles for row in schedule.layers)
    assert schedule.cycles_per_frame > busy if "slow" in name else schedule.cycles_per_frame == busy
    assert schedule.binary_macs == sum(layer.binary_macs for layer in layers)
    slots = engine.synapses_per_cycle * schedule.cycles_per_frame
    assert schedule.utilisation == pytest.approx(schedule.binary_macs / slots)


def test_every_kind_of_stall_occurs():
    schedules = [schedule_layers(chain_of_layers(graph), engine) for graph, engine in NETWORKS.values()]
    rows = [row for schedule in schedules for row in schedule.layers]
    for kind in ("write_stalls", "drain_stalls", "input_stalls"):
        assert any(getattr(row, kind) for row in rows), kind


@pytest.mark.parametrize("name", NETWORKS)
def test_taps(name):
    graph, engine = NETWORKS[name]
    for layer in chain_of_layers(graph):
        plan = plan_layer(layer, engine)
        for row in range(layer.out_shape[0]):
            for group in range(plan.groups_x):
                for dy in range(layer.pool):
                    for dx in range(layer.pool):
                        found = [plan.taps_y(row, dy), plan.taps_x(group, dx)]
                        wanted = [(0, 1), (0, 1)]
                        if layer.source == "features":
                            inside = taps_inside(layer, engine, row, group, dy, dx)
                            wanted = [(min(axis), len(set(axis))) for axis in zip(*inside)]
                        assert found == wanted, (layer.name, row, group, dy, dx)


@pytest.mark.parametrize(("channels", "count", "engine", "words", "used_last", "groups_c", "last_rows", "out_words"), [
    (8, 8, Engine(8, 1, 8), 1, 8, 1, 8, 1),
    (9, 9, Engine(8, 1, 8), 2, 1, 2, 1, 2),
    (1, 1, Engine(8, 3, 16), 1, 1, 1, 1, 1),
    (33, 24, Engine(8, 5, 16, 4), 3, 1, 3, 8, 2),
    (16, 17, Engine(1, 1, 2), 8, 2, 17, 1, 9),
])
def test_fold(channels, count, engine, words, used_last, groups_c, last_rows, out_words):
    graph = random_cnn(5, (5, 7, 1), 2, (channels, count), padding=0)
    window, features, head = (plan_layer(layer, engine) for layer in chain_of_layers(graph))
    assert (features.words, features.used_last, features.groups_c) == (words, used_last, groups_c)
    assert (features.last_rows, features.out_words) == (last_rows, out_words)
    assert features.kernel == (3, 3)
    assert features.weight_words == groups_c * 9 * words
    assert features.odd_words == (9 if channels % 2 else 0)
    columns = ceil(3 / engine.columns)
    assert (features.groups_x, features.out_depth) == (columns, columns * out_words)
    assert head.out_depth == 0
    # Nine taps of one channel make one word of nine lanes; two planes weigh 3.
    assert (window.kernel, window.words) == ((1, 1), ceil(9 / engine.lanes))
    assert window.used_last == 9 - (window.words - 1) * engine.lanes
    assert window.odd_words == 3
    assert window.patch == (3, engine.columns + 2)


def test_share_of_3x3_layers():
    graph, engine = NETWORKS["pool, masked columns"]
    schedule = schedule_layers(chain_of_layers(graph), engine)
    rows = schedule.layers[:2]
    assert [row.is_3x3 for row in schedule.layers] == [True, True, False]
    assert [row.kind for row in schedule.layers] == ["conv", "conv", "dense"]
    assert schedule.utilisation_3x3 == sum(row.ideal_cycles for row in rows) / sum(row.cycles for row in rows)
    graph, engine = NETWORKS["vector"]
    schedule = schedule_layers(chain_of_layers(graph), engine)
    assert schedule.utilisation_3x3 is None
    assert [row.kind for row in schedule.layers] == ["dense"] * 3


@pytest.mark.parametrize("seed", range(3))
def test_larger_arrays_need_no_more_beats(seed):
    layers = chain_of_layers(random_cnn(40 + seed, (11, 10, 2), 3, (14, 20, 9), pools=(2,), padding=0))
    for grow in range(3):
        shape, previous = [2, 1, 2], None
        for _ in range(4):
            rows = schedule_layers(layers, Engine(*shape)).layers
            beats = [row.issue_cycles for row in rows]
            assert all(row.ideal_cycles <= row.issue_cycles for row in rows)
            assert previous is None or all(now <= before for now, before in zip(beats, previous))
            previous = beats
            shape[grow] = shape[grow] * 2 + (grow == 1)


@pytest.mark.parametrize(("rows", "lanes"), [(8, 8), (12, 16), (16, 4), (24, 12), (5, 8)])
def test_fewest_rows_to_drain(rows, lanes):
    layers = chain_of_layers(random_cnn(9, (6, 6, 1), 2, (24, 24), kernel=(3, 1), padding=0))
    found = drain_for(layers, rows, 1, lanes)
    legal = [drain for drain in range(1, rows + 1) if rows % drain == lanes % drain == 0]

    def stalls(drain):
        return sum(row.drain_stalls for row in schedule_layers(layers, Engine(rows, 1, lanes, drain)).layers[:-1])

    assert found == next((drain for drain in legal if not stalls(drain)), legal[-1])


def hidden(channels=2, **options):
    """A network whose second convolution has the given input channels and options."""
    weights = np.ones((2, 3, 3, channels), np.int8)
    nodes = [
        ir.Input("input", (9, 9, 1), 2),
        ir.Conv("conv1", "input", np.ones((channels, 3, 3, 1), np.int8)),
        ir.Threshold("sign1", "conv1", np.zeros(channels, np.int32)),
        ir.Conv("conv2", "sign1", weights, **options), ir.Threshold("sign2", "conv2", np.zeros(2, np.int32)),
    ]
    rows, columns, _ = ir.Graph(tuple(nodes), "body").shape("sign2")
    nodes += [ir.Conv("head", "sign2", np.ones((2, rows, columns, 2), np.int8)), ir.Scores("scores", "head", [0, 0])]
    return ir.Graph(tuple(nodes), "made by hand")


@pytest.mark.parametrize(("graph", "engine", "message"), [
    (hidden(stride=2), Engine(4, 4, 8), (r"^conv2: stride 2 shares a factor with the array's 4 columns; use an "
                                        r"odd number of columns, such as 3 or 5$")),
    (random_mlp(1, (16, 4)), Engine(4, 1, 12), (r"^head: packed 1-bit inputs need lanes that are a multiple of 8, "
                                               r"not 12$")),
    (hidden(), Engine(4, 1, 7), r"^conv1: the array's lanes must be even, not 7$"),
    (hidden(3, padding=1), Engine(4, 1, 8), (r"^conv2: 3 input channels with padding 1: the engine skips padded taps "
                                            r"only with an even number of channels; use 4, or no padding$")),
])
def test_array_that_cannot_run_a_layer(graph, engine, message):
    with pytest.raises(FitError, match=message):
        schedule_layers(chain_of_layers(graph), engine)


def test_window_takes_any_number_of_columns():
    graph = random_cnn(3, (8, 8, 1), 2, (4,), pools=(1,))
    assert plan_layer(chain_of_layers(graph)[0], Engine(4, 4, 8)).groups_x == 1


def test_no_layers():
    with pytest.raises(UnsupportedLayerError, match="the network has no layers"):
        schedule_layers((), Engine(4, 1, 8))
