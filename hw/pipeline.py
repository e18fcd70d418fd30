"""Several engines in a row behind one pair of streams."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.accelerator import Accelerator, Trace
from hw.axi_stream import AxiStreamSignature
from hw.receiver import FrameError
from sw.pipeline import Pipeline

__all__ = ["LinkTrace", "PipelinedAccelerator"]


class LinkTrace(wiring.Signature):
    """What goes from one engine to the next, for benches; costs nothing where it is not connected.

    Members
    -------
    valid : Out(1)
        A beat passes.
    last : Out(1)
        It is its map's last.
    part : Out(width)
    """

    def __init__(self, width):
        super().__init__({"valid": Out(1), "last": Out(1), "part": Out(width)})


class PipelinedAccelerator(wiring.Component):
    """Classifies the frames of ``s_axis`` one after the other; results leave ``m_axis`` in the same order.

    Each engine works on a frame of its own; an engine whose map would find no buffer waits before it makes it.

    Latency: that of ``pipeline.schedule``, to the cycle.

    Parameters
    ----------
    pipeline : Pipeline
    popcounts : sequence of str, optional
        A key of ``hw.popcount.IMPLEMENTATIONS`` for each engine.
    memories : sequence of MemoryPlan, optional
        As ``hw.accelerator.Accelerator``, for each engine.

    Members
    -------
    s_axis : In(AxiStreamSignature(8, user_width=1))
    m_axis : Out(AxiStreamSignature(8))
    error : Out(FrameError)
        As those of ``hw.accelerator.Accelerator``.
    trace_0, trace_1, ... : Out(Trace)
        Of each engine; all layers' maps but the last one's are there.
    link_0, link_1, ... : Out(LinkTrace)
        Behind each engine but the last.

    Raises
    ------
    TypeError
        If ``pipeline`` is not a Pipeline.
    """

    def __init__(self, pipeline, popcounts=None, memories=None):
        if not isinstance(pipeline, Pipeline):
            raise TypeError(f"PipelinedAccelerator pipeline must be a sw.pipeline.Pipeline, not {pipeline!r}")
        self.pipeline = pipeline
        count = len(pipeline.programs)
        self._popcounts = ["portable"] * count if popcounts is None else list(popcounts)
        self._memories = [None] * count if memories is None else list(memories)
        super().__init__({
            "s_axis": In(AxiStreamSignature(8, user_width=1)),
            "m_axis": Out(AxiStreamSignature(8)),
            "error": Out(FrameError),
            **{f"trace_{index}": Out(Trace(columns=program.engine.columns, lanes=program.engine.lanes))
               for index, program in enumerate(pipeline.programs)},
            **{f"link_{index}": Out(LinkTrace(link.width)) for index, link in enumerate(pipeline.links)},
        })

    def elaborate(self, platform):
        m = Module()
        engines = [Accelerator(*parts) for parts in zip(
            self.pipeline.programs, self._popcounts, self._memories, strict=True)]
        for index, engine in enumerate(engines):
            m.submodules[f"engine_{index}"] = engine
            wiring.connect(m, engine.trace, wiring.flipped(getattr(self, f"trace_{index}")))
        for index, (sender, receiver) in enumerate(zip(engines, engines[1:], strict=False)):
            wiring.connect(m, sender.o, receiver.i)
            trace, payload = getattr(self, f"link_{index}"), sender.o.payload
            m.d.comb += [
                trace.valid.eq(sender.o.valid & sender.o.ready), trace.last.eq(payload.last),
                trace.part.eq(payload.part)]
        first, last = engines[0], engines[-1]
        wiring.connect(m, wiring.flipped(self.s_axis), first.s_axis)
        wiring.connect(m, last.m_axis, wiring.flipped(self.m_axis))
        m.d.comb += self.error.eq(first.error)
        return m
