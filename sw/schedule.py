"""The exact schedule of a network on an engine: every pass, every stall, the cycle of every result.

The numbers here are those of the hardware in ``hw``: the simulation benches compare them for equality. A layer's
clock starts with its ``begin`` (cycle 0, see ``hw.control``).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sw.descriptor import BITS, SEQUENCER_WORDS
from sw.engine import Engine
from sw.errors import FitError, UnsupportedLayerError
from sw.folding import LayerPlan, ceil_div, plan_layer
from sw.layers import Layer
from sw.map_link import MapLink
from sw.timing import EDGE, FrameTiming

__all__ = [
    "BEGIN_TO_BEAT", "Issue", "LayerSchedule", "Schedule", "issue_beats", "pass_interval", "schedule_layers",
    "start_up",
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
        return self.timing.latency_cycles

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

    ``last`` is the last beat's, ``release`` that of the image's last fetch; ``ends`` are the last beats of the passes
    whose results are complete: all, or each pool window's last.
    """

    last: int
    beats: int = 0
    write_stalls: int = 0
    drain_stalls: int = 0
    input_stalls: int = 0
    release: int = 0
    ends: list[int] = field(default_factory=list)


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
    # A search for an array walks a thousand layers: what a row repeats is worked out once.
    taps_x = [[plan.taps_x(group_x, dx)[1] for dx in pool] for group_x in range(plan.groups_x)]
    for row in range(layer.out_shape[0]):
        rows = [plan.taps_y(row, dy)[1] for dy in pool]
        for group_x, columns in enumerate(taps_x):
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
                        busy = _after(blocked, cycle, beats - 1) if blocked else cycle + beats - 1
                        state.write_stalls += busy - cycle - (beats - 1)
                        drained = max(busy, state.last + interval) if state.beats else busy
                        last = _after(blocked, drained, 0) if blocked else drained
                        state.drain_stalls += drained - busy
                        state.write_stalls += last - drained
                        if window and group_c == dy == dx == 0:
                            following = (group_x + 1) % plan.groups_x
                            ready = (cycle if beats > 1 else last) + plan.fetch(following) + FETCH
                        state.last = last
                        state.beats += beats
                        if dy == dx == layer.pool - 1:
                            state.ends.append(last)
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


def _sent(plan: LayerPlan, ends: Sequence[int], link: MapLink) -> int:
    """The cycle of a map's last transfer to the next engine, on the clock of ``ends`` (``Issue``).

    Raises ``FitError`` if a word is written while the one before it is still being sent.
    """
    link_writes, free = _writes(plan), 0
    for group in range(len(ends) // plan.groups_c):
        columns = link.last_columns if group % link.groups == link.groups - 1 else link.columns
        word = 0
        for group_c, delays in enumerate(link_writes):
            for delay in delays:
                written = ends[group * plan.groups_c + group_c] + delay + 1
                if written < free:
                    raise FitError(
                        f"{plan.layer.name}: {link.columns * link.word_parts} beats take the words of "
                        f"{link.columns} columns to the next array, and more words are made before all have left; use "
                        f"the same lanes for both arrays, a smaller drain or fewer columns, or another cut")
                word += 1
                free = written + columns * (link.word_parts if word < link.words else link.last_parts)
    return free


def schedule_layers(layers: tuple[Layer, ...], engine: Engine, *, source: MapLink | None = None,
                    target: MapLink | None = None) -> Schedule:
    """The schedule of a chain of layers.

    ``source`` is where the first layer's map comes from if that is another engine, ``target`` where the last one's
    goes if that is not the outside.

    Raises ``FitError`` if the engine's shape cannot run a layer, or gives results faster than ``target`` takes them.
    """
    if not layers:
        raise UnsupportedLayerError(["the network has no layers"])
    plans = [plan_layer(layer, engine) for layer in layers]
    writes = [_writes(plan) for plan in plans]
    # What comes from another engine, or goes there, leaves the feature memory alone.
    for index in ([0] if source else []) + ([-1] if target else []):
        writes[index] = [[] for _ in writes[index]]
    issues = [issue_beats(plan, _steps(plan), own) for plan, own in zip(plans, writes, strict=True)]
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
    whole = first.layer.source == "flat" or source is not None  # the first layer reads a stored frame to its end
    if target is None:
        result = BEAT_TO_RESULT + engine.popcount_stages + head.last_rows - 1
    else:
        result = _sent(head, issues[-1].ends, target) - issues[-1].last
    timing = FrameTiming(
        beats=_input_beats(first.layer, source), result_bytes=1 if target else 2 * layers[-1].out_shape[2] + 1,
        input_buffers=2 if whole else 1, result_buffers=1 if target else 2,
        reset_to_check=SEQUENCER_WORDS + 1, body=body, head=begin + issues[-1].last, recover=_recover(head),
        result=result, release=begin + (issues[0].last + 2 if whole else issues[0].release),
        edge=EDGE if source is None else 0,
    )
    return Schedule(engine=engine, layers=tuple(rows), timing=timing)


def _input_beats(layer: Layer, source: MapLink | None) -> int:
    """Transfers of a frame on the first layer's input."""
    if source is not None:
        return source.beats
    height, width, channels = layer.in_shape
    return ceil_div(channels, 8) if layer.source == "flat" else height * width * channels // layer.code_width


def _recover(plan: LayerPlan) -> int:
    """From a layer's last beat to the next layer's earliest check."""
    return max(SEQUENCER_WORDS + 1, _beat_to_write(plan.engine) + _steps(plan))
