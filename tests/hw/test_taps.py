"""The tap sequencer behind the pass sequencer: every beat of a network's layers, in the very cycle that is right."""

import random

import pytest
from amaranth import Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from hw.passes import PassSequencer
from hw.taps import TapSequencer
from sw.compile import compile_graph
from sw.descriptor import BITS
from sw.engine import Engine
from tests.sw.networks import random_cnn, random_mlp

BEGIN_TO_BEAT = 4
ADDRESS_WIDTH = 9
WEIGHT_WIDTH = 12

NETWORKS = {
    "pools, masked columns": (random_cnn(1, (9, 8, 1), 4, (4, 6), pools=(1, 2), classes=5), Engine(4, 3, 8, 2)),
    "words": (random_cnn(2, (6, 5, 2), 2, (12, 10), padding=(1, 0)), Engine(4, 2, 8, 2)),
    "pool, half a group behind the map": (random_cnn(9, (6, 8, 1), 2, (4, 6), pools=(2,)), Engine(4, 5, 8, 2)),
    "stride, one column": (random_cnn(3, (8, 7, 1), 1, (8, 6), stride=(1, 2), padding=(0, 1)), Engine(8, 1, 4, 4)),
    "wide kernel, five columns": (random_cnn(4, (7, 8, 1), 3, (4, 4), kernel=(3, 5), padding=(1, 2)),
                                  Engine(2, 5, 6)),
    "map narrower than the columns": (random_cnn(6, (5, 4, 1), 1, (2, 2)), Engine(2, 8, 4)),
    "one of all": (random_cnn(5, (3, 4, 1), 1, (2, 1), kernel=(3, 1), padding=0, classes=1), Engine(1, 1, 2)),
    "scores of short passes": (random_mlp(8, (8, 7)), Engine(4, 1, 8, 4)),
    "vector": (random_mlp(7, (42, 12, 20, 5)), Engine(6, 1, 8, 2)),
}


class Sequencers(Elaboratable):
    """Both sequencers, the second fed by the first."""

    def __init__(self, engine, fields):
        widths = {"address_width": ADDRESS_WIDTH, "weight_width": WEIGHT_WIDTH, "fields": fields}
        self.passes = PassSequencer(columns=engine.columns, **widths)
        self.taps = TapSequencer(columns=engine.columns, **widths)

    def elaborate(self, platform):
        m = Module()
        m.submodules.passes, m.submodules.taps = self.passes, self.taps
        wiring.connect(m, self.passes.o, self.taps.i)
        return m


def beats_of(f, columns):
    """Every beat of a layer with the descriptor's fields ``f``: what the outputs must show."""
    for row in range(f["rows_out"] + 1):
        for group_x in range(f["groups_x"] + 1):
            for group_c in range(f["groups_c"] + 1):
                for dy in range(f["pool"] + 1):
                    for dx in range(f["pool"] + 1):
                        beats = list(beats_of_pass(f, columns, row, group_x, group_c, dy, dx))
                        beats[0]["group_first"] = int(group_c == dy == dx == 0)
                        beats[-1]["last"] = 1
                        beats[-1]["final"] = int((row, group_x, group_c, dy, dx) == tuple(
                            f[name] for name in ("rows_out", "groups_x", "groups_c", "pool", "pool")))
                        yield from beats


def beats_of_pass(f, columns, row, group_x, group_c, dy, dx):
    stride, pool = f["stride"] + 1, f["pool"] + 1
    words = f["words"] + 1
    for plane in range(f["planes"] + 1):
        for ky in range(f["kernel_h"] + 1):
            for kx in range(f["kernel_w"] + 1):
                # Rows and columns from the padding's corner on.
                y = (row * pool + dy) * stride + ky
                places = [((group_x * pool + dx) * columns + column) * stride + kx for column in range(columns)]
                inside = [f["image"] or 0 <= place - f["padding"] <= f["in_width"] for place in places]
                enable = sum(1 << column for column in range(columns) if inside[column])
                behind = kx == 0 and places[0] - f["padding"] > f["in_width"]  # no column takes such a row's one tap
                if not (enable or behind) or not (f["image"] or 0 <= y - f["padding"] <= f["in_height"]):
                    continue
                for word in range(words):
                    groups, phase = divmod(f["phase"] + places[0], columns)
                    address = f["address"] + y * f["row_pitch"] + groups * (words + f["skip"]) + word
                    weights = f["weights"] + group_c * f["group_taps"] + ky * f["row_taps"] + kx * words + word
                    yield {
                        "image": f["image"], "address": address % (1 << ADDRESS_WIDTH), "phase": phase,
                        "stride": int(stride == 2), "pitch": words + f["skip"], "weights": weights, "group_first": 0,
                        "plane_last": int(word == words - 1), "word": word, "dy": dy, "dx": dx,
                        "enable": enable, "double": int(plane > 0 and word == 0), "last": 0, "final": 0,
                    }


#: Outputs that only one of the feature memory and the input unit takes.
OF_FEATURES = {"address", "phase", "stride", "pitch"}
OF_IMAGE = {"word", "plane_last", "dy", "dx"}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("waits", "skip"), [(0, 0), (0.3, 0), (0.1, 3)])
def test_beats(name, waits, skip):
    choose = random.Random(3)
    graph, engine = NETWORKS[name]
    words = compile_graph(graph, engine).descriptors
    layers = [BITS.decode(words[start:start + BITS.words]) for start in range(0, len(words), BITS.words)]
    # Of wider pixels a tap takes some words, as in a convolution of groups.
    layers = [layer if layer["image"] else layer | {"skip": skip} for layer in layers]
    signals = {field: Signal(range(max(layer[field] for layer in layers) + 1), name=field) for field in layers[0]}
    dut = Sequencers(engine, signals)
    taps = dut.taps

    def found(ctx, image):
        ignored = OF_FEATURES if image else OF_IMAGE
        control = ctx.get(taps.control)
        names = {"image", "weights", "group_first"} | (OF_FEATURES | OF_IMAGE) - ignored
        # Signals of no bits are 0.
        ports = {port: ctx.get(getattr(taps, port)) if len(getattr(taps, port)) else 0 for port in names}
        return ports, {field: control[field] for field in ("enable", "double", "last", "final")}

    async def testbench(ctx):
        for layer in layers:
            for field, value in layer.items():
                if len(signals[field]):
                    ctx.set(signals[field], value)
            todo = list(beats_of(layer, engine.columns))
            free, cycle, before = 0, 0, None
            ctx.set(dut.passes.begin, 1)
            while todo or cycle < free + 8:
                writes, ready = choose.random() < waits, choose.random() >= waits
                ctx.set(taps.write_next, writes)
                ctx.set(taps.image_ready, ready)
                issue = bool(todo) and cycle >= BEGIN_TO_BEAT
                if issue and layer["image"]:
                    issue = ready or not todo[0]["group_first"]
                elif issue:
                    issue = not writes
                if issue and todo[0]["last"] and cycle < free:
                    issue = False
                assert ctx.get(taps.issue) == issue, cycle
                ports, control = found(ctx, layer["image"])
                # The controls are those of the beat of the cycle before.
                assert control == {field: before[field] if before else 0 for field in control}, cycle
                before = todo.pop(0) if issue else None
                if issue:
                    assert ports == {field: before[field] for field in ports}, cycle
                    if before["last"]:
                        free = cycle + layer["cooling"] + 1
                assert ctx.get(taps.final) == bool(issue and before["final"]), cycle
                await ctx.tick()
                cycle += 1
                ctx.set(dut.passes.begin, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
