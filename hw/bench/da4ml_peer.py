"""da4ml as a peer: fully connected binary layers, unrolled into adders, through this project's flow."""

import numpy as np
from amaranth import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..boards import find_board
from ..tools import ToolError
from .harness import place_core

__all__ = ["measure_peer", "random_layers"]

#: Adders between two registers. da4ml's other options are its defaults.
STAGE_ADDERS = 3
#: Vectors on which da4ml's network must agree with the layers that it was given.
CHECKED = 256


class _Peer(wiring.Component):
    """The module that da4ml writes."""

    def __init__(self, inputs, outputs):
        super().__init__({"model_inp": In(inputs), "model_out": Out(outputs)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.peer = Instance(
            "peer", i_clk=ClockSignal(), i_model_inp=self.model_inp, o_model_out=self.model_out)
        return m


def random_layers(sizes, seed=1):
    """Weights of -1 and +1 ``(inputs, outputs)`` and thresholds ``(outputs,)`` of each layer, for inputs of 0 and 1."""
    choose = np.random.default_rng(seed)
    return [
        (choose.choice((-1, 1), (before, after)), choose.integers(-before // 8, before // 8, after, endpoint=True))
        for before, after in zip(sizes, sizes[1:])
    ]


def evaluate(layers, bits):
    """The layers' bits for rows of bits of 0 and 1."""
    for weights, thresholds in layers:
        bits = (bits @ weights >= thresholds).astype(np.int64)
    return bits


def measure_peer(row, folder):
    """Return what da4ml's network takes, for JSON; files go to ``folder``.

    Raises ``hw.tools.ToolError`` if da4ml's network computes something else than the layers, or synthesis fails.
    """
    layers = random_layers(row.sizes)
    stages = _write_verilog(layers, folder / "da4ml")
    sources = sorted(path.relative_to(folder).as_posix() for path in folder.glob("da4ml/src/**/*.v")
                     if not path.stem.endswith("_wrapper"))
    board = find_board(row.board)
    found = place_core(_Peer(row.sizes[0], row.sizes[-1]), board, folder, clock_mhz=row.clock_mhz,
                       seconds=row.route_seconds, verilog=sources)
    return {"part": board.part.name, "synapses": row.synapses, "stages": stages} | found


def _write_verilog(layers, folder):
    """Write da4ml's Verilog to ``folder`` and return its pipeline stages."""
    from da4ml.codegen.rtl.rtl_model import RTLModel
    from da4ml.trace import FixedVariableArrayInput, comb_trace, to_pipeline

    inputs = FixedVariableArrayInput((len(layers[0][0]),)).quantize(0, 1, 0)
    bits = inputs
    for weights, thresholds in layers:
        bits = bits @ weights >= thresholds
    network = comb_trace(inputs, bits)
    vectors = np.random.default_rng(2).integers(0, 2, (CHECKED, len(layers[0][0])))
    if not np.array_equal(network.predict(vectors.astype(np.float64)), evaluate(layers, vectors)):
        raise ToolError("da4ml's network does not compute the layers that it was given")
    pipeline = to_pipeline(network, STAGE_ADDERS, verbose=False)
    RTLModel(pipeline, "peer", folder, print_latency=False).write()
    return len(pipeline.solutions)
