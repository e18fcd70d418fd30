"""The exact schedule of a network on an engine: every pass, every stall, the cycle of every result.

The numbers here are those of the hardware in ``hw``: the simulation benches compare them for equality. A layer's
clock starts with its ``begin`` (cycle 0, see ``hw.control``).
"""

from collections import deque
from dataclasses import dataclass, replace
from functools import cached_property

from sw.descriptor import BITS, SEQUENCER_WORDS
from sw.engine import Engine
from sw.errors import UnsupportedLayerError
from sw.folding import LayerPlan, ceil_div, plan_layer
from sw.layers import Layer

__all__ = [
    "BEGIN_TO_BEAT", "EDGE", "FrameTiming", "Issue", "LayerSchedule", "Schedule", "issue_beats", "pass_interval",
    "schedule_layers", "start_up",
]

#: From ``begin`` to the first beat: loop registers, two address stages, the beat's own registers.
BEGIN_TO_BEAT = 4
#: From a pass's last beat to the write that its first drained row can cause: address, memory, word register,
#: matches, sum, drain register, bit, word. The popcount's stages are further cycles, here and in ``BEAT_TO_RESULT``.
BEAT_TO_WRITE = 8
#: Cycles in which a pass is worked out.
PASS = 2
#: From the start of a group's fetch to its windows, beyond a cycle a pixel.
FETCH = 1
#: From a score that is drained k-th to its result's first byte on the stream, after the pass's last beat.
BEAT_TO_RESULT = 9
#: From a transfer of the input stream to its byte in the input unit.
EDGE = 1
#: From a result's last byte to the first of the result that waits behind it.
RESULT_GAP = 2


@dataclass(frozen=True)
class LayerSchedule:
    """A layer's cycles. ``issue_cycles`` are beats; the stalls are cycles in which the sequencer waits for the
    feature memory's writes, for the drain register (or post-processing), for the input's windows, or for what is
    fetched ahead; ``gap_cycles`` lie between the last
    beat and the next layer's ``begin`` to first beat, and are charged to this layer.
    """

    name: str
    kind: str
    binary_macs: int
    ideal_cycles: float
    issue_cycles: int
    write_stalls: int
    drain_stalls: int
    input_stalls: int
    gap_cycles: int
    is_3x3: bool
    fetch_stalls: int = 0

    @property
    def stall_cycles(self) -> int:
        """Cycles inside the layer without a beat."""
        return self.write_stalls + self.drain_stalls + self.input_stalls + self.fetch_stalls

    @property
    def cycles(self) -> int:
        """Beats, stalls and gap."""
        return self.issue_cycles + self.stall_cycles + self.gap_cycles

    @property
    def utilisation(self) -> float:
        """Ideal cycles over all cycles."""
        return self.ideal_cycles / self.cycles


@dataclass(frozen=True)
class FrameTiming:
    """The cycles of a frame, from which the cycle of every result follows for any arrival and any stall.

    All are differences between events of one frame. A layer's *check* is the cycle in which the control finds that it
    may start.

    * ``reset_to_check``: from the first cycle after reset (cycle 0) to the first layer's check.
    * ``body``: first layer's check to the last layer's earliest check.
    * ``head``: last layer's check to its last beat.
    * ``recover``: that beat to the next frame's earliest check.
    * ``result``: that beat to the first byte of the result, if no earlier result is in the way.
    * ``release``: first layer's check to the first cycle in which another frame is accepted into its buffer.
    * ``load_to_check``: from the first cycle in which a shared store is loaded to the first layer's check.
    """

    beats: int
    result_bytes: int
    input_buffers: int
    result_buffers: int
    reset_to_check: int
    body: int
    head: int
    recover: int
    result: int
    release: int
    load_to_check: int = 0

    def loaded(self, cycle: int) -> "FrameTiming":
        """That of an engine whose store is loaded from ``cycle`` on."""
        return replace(self, reset_to_check=max(self.reset_to_check, cycle + self.load_to_check))

    def start(self, frame: int, arrived: int, starts: list[int], previous_beat: int | None) -> int:
        """First layer's check: ``arrived`` is the cycle of the frame's last input transfer, ``starts[g]`` frame g's
        check, ``previous_beat`` the last beat of the frame before.
        """
        engine = self.reset_to_check if previous_beat is None else previous_beat + self.recover
        return max(arrived + EDGE + 1, self._room(frame, starts) + self.beats, engine)

    def _room(self, frame: int, starts: list[int]) -> int:
        """The first cycle in which the frame's buffer is free."""
        return starts[frame - self.input_buffers] + self.release if frame >= self.input_buffers else 0

    def last_beat(self, start: int, sent: list[int], frame: int) -> int:
        """The head's last beat; ``sent[g]`` is the cycle of result g's last transfer."""
        room = sent[frame - self.result_buffers] + 1 if frame >= self.result_buffers else 0
        return max(start + self.body, room) + self.head

    def offered(self, last_beat: int, sent: list[int], frame: int) -> int:
        """The cycle in which the result's first byte is offered."""
        return max(last_beat + self.result, sent[frame - 1] + RESULT_GAP if frame else 0)

    def ideal_run(self, frames: int) -> list[tuple[int, int]]:
        """(first cycle of the result, cycle of its last byte) for frames that are always offered and always taken,
        from reset.
        """
        accept = -1  # cycle of the input's last transfer so far
        starts: list[int] = []
        sent: list[int] = []
        results = []
        beat: int | None = None
        for frame in range(frames):
            # A frame's last transfer is as long before its last byte is in the buffer as the edge takes.
            accept = max(accept + self.beats, self._room(frame, starts) + self.beats - 1 - EDGE)
            starts.append(self.start(frame, accept, starts, beat))
            beat = self.last_beat(starts[-1], sent, frame)
            offered = self.offered(beat, sent, frame)
            sent.append(offered + self.result_bytes - 1)
            results.append((offered, sent[-1]))
        return results


@dataclass(frozen=True)
class Schedule:
    """All layers' cycles and the frame's timing."""

    engine: Engine
    layers: tuple[LayerSchedule, ...]
    timing: FrameTiming

    @cached_property
    def cycles_per_frame(self) -> int:
        """Initiation interval: cycles between results when frames follow each other without a gap."""
        results = self.timing.ideal_run(8)
        return results[-1][1] - results[-2][1]

    @cached_property
    def latency_cycles(self) -> int:
        """From the frame's last input transfer to its result's last byte, engine idle."""
        timing = self.timing
        return EDGE + 1 + timing.body + timing.head + timing.result + timing.result_bytes - 1

    @property
    def binary_macs(self) -> int:
        """Binary multiply-accumulates of a frame."""
        return sum(layer.binary_macs for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """Share of the array's synapse slots in a frame that do a wanted MAC."""
        return self.binary_macs / (self.engine.synapses_per_cycle * self.cycles_per_frame)

    @property
    def utilisation_3x3(self) -> float | None:
        """Ideal over actual cycles of the 3 x 3 layers together; ``None`` without such layers."""
        layers = [layer for layer in self.layers if layer.is_3x3]
        if not layers:
            return None
        return sum(layer.ideal_cycles for layer in layers) / sum(layer.cycles for layer in layers)


@dataclass
class Issue:
    """A layer's beats as they are issued; cycles count from the layer's ``begin``.

    ``last`` is the last beat's, ``release`` that of the image's last fetch.
    """

    last: int
    beats: int = 0
    write_stalls: int = 0
    drain_stalls: int = 0
    input_stalls: int = 0
    release: int = 0


def start_up(issue: Issue) -> int:
    """Cycles from a layer's begin to its first beat."""
    return issue.last + 1 - issue.beats - issue.write_stalls - issue.drain_stalls - issue.input_stalls


def _steps(plan: LayerPlan) -> int:
    """Cycles in which a pass drains."""
    return plan.engine.rows if plan.layer.is_head else plan.engine.drain_steps


def pass_interval(steps: int) -> int:
    """Cycles between the last beats of two passes, the first of which drains in ``steps``, at the least."""
    return max(PASS, steps)


def _beat_to_write(engine: Engine) -> int:
    return BEAT_TO_WRITE + engine.popcount_stages


def _writes(plan: LayerPlan) -> list[list[int]]:
    """For each channel group, from a pass's last beat to the announcement of each feature word that it completes."""
    engine = plan.engine
    if plan.layer.is_head:
        return [[] for _ in range(plan.groups_c)]
    slots, filled, groups = engine.lanes // engine.drain, 0, []
    for group in range(plan.groups_c):
        last = group == plan.groups_c - 1
        steps = ceil_div(plan.last_rows, engine.drain) if last else engine.drain_steps
        complete = []
        for step in range(steps):
            filled += 1
            if filled == slots or (last and step == steps - 1):
                complete.append(_beat_to_write(engine) - 1 + step)
                filled = 0
        groups.append(complete)
    return groups


def issue_beats(plan: LayerPlan, steps: int, writes: list[list[int]]) -> Issue:
    """Walk the passes as the sequencer does.

    Passes end ``pass_interval(steps)`` cycles apart at the least; those of channel group c make feature words whose
    writes take the memory ``writes[c]`` cycles after the pass's last beat, in ascending order.
    """
    layer = plan.layer
    window = layer.source == "window"
    ready = plan.fetch(0) + FETCH if window else 0
    if layer.source != "features":
        writes = [[] for _ in writes]  # beats that read the input unit need no feature memory
    blocked: deque[int] = deque()
    interval = pass_interval(steps)
    state = Issue(last=BEGIN_TO_BEAT - 1)
    pool = range(layer.pool)
    for row in range(layer.out_shape[0]):
        rows = [plan.taps_y(row, dy)[1] for dy in pool]
        for group_x in range(plan.groups_x):
            columns = [plan.taps_x(group_x, dx)[1] for dx in pool]
            for group_c in range(plan.groups_c):
                for dy in pool:
                    for dx in pool:
                        beats = layer.planes * rows[dy] * columns[dx] * plan.words
                        cycle = state.last + 1
                        if window and group_c == dy == dx == 0:
                            if plan.engine.window_buffers == 1 and state.beats:
                                ready = cycle + plan.fetch(group_x) + FETCH
                            state.input_stalls += max(0, ready - cycle)
                            cycle = max(cycle, ready)
                            state.release = ready
                        busy = _after(blocked, cycle, beats - 1)
                        state.write_stalls += busy - cycle - (beats - 1)
                        drained = max(busy, state.last + interval) if state.beats else busy
                        last = _after(blocked, drained, 0)
                        state.drain_stalls += drained - busy
                        state.write_stalls += last - drained
                        if window and group_c == dy == dx == 0:
                            following = (group_x + 1) % plan.groups_x
                            ready = (cycle if beats > 1 else last) + plan.fetch(following) + FETCH
                        state.last = last
                        state.beats += beats
                        if writes[group_c] and dy == dx == layer.pool - 1:
                            blocked.extend(last + delay for delay in writes[group_c])
    return state


def _after(blocked: deque[int], cycle: int, beats: int) -> int:
    """The first cycle, not blocked, after ``beats`` beats from ``cycle`` on."""
    while blocked and blocked[0] < cycle:
        blocked.popleft()
    end = cycle + beats
    while blocked and blocked[0] <= end:
        blocked.popleft()
        end += 1
    return end


def schedule_layers(layers: tuple[Layer, ...], engine: Engine) -> Schedule:
    """The schedule of a chain of layers.

    Raises ``FitError`` if the engine's shape cannot run a layer.
    """
    if not layers:
        raise UnsupportedLayerError(["the network has no layers"])
    plans = [plan_layer(layer, engine) for layer in layers]
    issues = [issue_beats(plan, _steps(plan), _writes(plan)) for plan in plans]
    begin = BITS.drain_words + 1  # from a layer's check to its begin
    rows = []
    for plan, issue in zip(plans, issues, strict=True):
        layer = plan.layer
        gap = _recover(plan) + begin
        rows.append(LayerSchedule(
            name=layer.name,
            kind="dense" if layer.source == "flat" or layer.weights.shape[1:3] == layer.in_shape[:2] else "conv",
            binary_macs=layer.binary_macs, ideal_cycles=layer.binary_macs / engine.synapses_per_cycle,
            issue_cycles=issue.beats, write_stalls=issue.write_stalls, drain_stalls=issue.drain_stalls,
            input_stalls=issue.input_stalls, gap_cycles=gap - 1 + start_up(issue), is_3x3=layer.is_3x3,
        ))
    body = sum(begin + issue.last + _recover(plan) for plan, issue in zip(plans[:-1], issues[:-1], strict=True))
    head, first = plans[-1], plans[0]
    flat = first.layer.source == "flat"
    shape = layers[0].in_shape
    beats = ceil_div(shape[2], 8) if flat else shape[0] * shape[1] * shape[2] // layers[0].code_width
    timing = FrameTiming(
        beats=beats, result_bytes=2 * layers[-1].out_shape[2] + 1, input_buffers=2 if flat else 1, result_buffers=2,
        reset_to_check=SEQUENCER_WORDS + 1, body=body, head=begin + issues[-1].last, recover=_recover(head),
        result=BEAT_TO_RESULT + engine.popcount_stages + head.last_rows - 1,
        release=begin + (issues[0].last + 2 if flat else issues[0].release),
    )
    return Schedule(engine=engine, layers=tuple(rows), timing=timing)


def _recover(plan: LayerPlan) -> int:
    """From a layer's last beat to the next layer's earliest check."""
    return max(SEQUENCER_WORDS + 1, _beat_to_write(plan.engine) + _steps(plan))
