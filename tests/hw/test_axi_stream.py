"""The AXI4-Stream signature: its members, the names of its ports, and its checks."""

import re

import pytest
from amaranth import Module
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.axi_stream import AxiStreamSignature


class PassThrough(wiring.Component):
    s_axis: In(AxiStreamSignature(16, user_width=2))
    m_axis: Out(AxiStreamSignature(16, user_width=2))

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.s_axis), wiring.flipped(self.m_axis))
        return m


@pytest.mark.parametrize(("width", "user_width"), [(8, 0), (8, 1), (32, 3)])
def test_members(width, user_width):
    members = AxiStreamSignature(width, user_width=user_width).members
    found = {name: (member.flow, member.shape) for name, member in members.items()}
    expected = {"tdata": (Out, width), "tvalid": (Out, 1), "tready": (In, 1), "tlast": (Out, 1)}
    assert found == (expected | {"tuser": (Out, user_width)} if user_width else expected)


def test_ports_of_a_component():
    """Names as an integrator's tool expects them, behind the name of the interface; the receiver drives TREADY."""
    text = rtlil.convert(PassThrough(), name="top")
    ports = {name: flow for flow, name in re.findall(r"wire width \d+ (input|output) \d+ +\\([ms]_axis__\w+)", text)}
    assert ports == {
        **{f"s_axis__{name}": "input" for name in ("tdata", "tvalid", "tlast", "tuser")}, "s_axis__tready": "output",
        **{f"m_axis__{name}": "output" for name in ("tdata", "tvalid", "tlast", "tuser")}, "m_axis__tready": "input",
    }


@pytest.mark.parametrize(("arguments", "message"), [
    ({"width": 0}, "AxiStreamSignature width must be a positive multiple of 8, not 0"),
    ({"width": 12}, "AxiStreamSignature width must be a positive multiple of 8, not 12"),
    ({"width": "8"}, "AxiStreamSignature width must be a positive multiple of 8, not '8'"),
    ({"width": 8, "user_width": -1}, "AxiStreamSignature user_width must be a non-negative integer, not -1"),
])
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AxiStreamSignature(**arguments)
