"""When frames start and when their results come, for any arrival and any stall: of one engine, or of several in a row.

What an engine does with a frame takes a fixed number of cycles between a few events; what moves is only when these
events may happen. ``Walk`` follows frames from event to event.
"""

from dataclasses import dataclass, replace

__all__ = ["EDGE", "FrameTiming", "PipelineTiming", "Walk"]

#: From a transfer of the input stream to its byte in the input unit.
EDGE = 1
#: From a result's last byte to the first of the result that waits behind it.
RESULT_GAP = 2


@dataclass(frozen=True)
class FrameTiming:
    """The cycles of a frame on one engine, from which the cycle of every result follows.

    All are differences between events of one frame. A layer's *check* is the cycle in which the control finds that it
    may start.

    * ``reset_to_check``: from the first cycle after reset (cycle 0) to the first layer's check.
    * ``body``: first layer's check to the last layer's earliest check; 0 if they are the same layer.
    * ``head``: last layer's check to its last beat.
    * ``recover``: that beat to the next frame's earliest check.
    * ``result``: that beat to the first byte of the result, if no earlier result is in the way; of a map that goes to
      another engine, to its last transfer. Such a map counts as a result of one byte.
    * ``release``: first layer's check to the first cycle in which another frame is accepted into its buffer.
    * ``load_to_check``: from the first cycle in which a shared store is loaded to the first layer's check.
    * ``edge``: from a transfer of the input to the input unit.
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
    edge: int = EDGE

    def loaded(self, cycle: int) -> "FrameTiming":
        """That of an engine whose store is loaded from ``cycle`` on."""
        return replace(self, reset_to_check=max(self.reset_to_check, cycle + self.load_to_check))

    @property
    def latency_cycles(self) -> int:
        """From a frame's last input transfer to its result's last byte, engine idle."""
        return self.edge + 1 + self.body + self.head + self.result + self.result_bytes - 1

    def walk(self) -> "Walk":
        """What follows frames through the engine, from reset."""
        return Walk((self,))

    def ideal_run(self, frames: int) -> list[tuple[int, int]]:
        """(first cycle of the result, cycle of its last byte) for frames that are always offered and always taken,
        from reset.
        """
        return self.walk().ideal_run(frames)


@dataclass(frozen=True)
class PipelineTiming:
    """That of engines in a row: each one's result is the next one's frame."""

    stages: tuple[FrameTiming, ...]

    @property
    def reset_to_check(self) -> int:
        """That of the first engine."""
        return self.stages[0].reset_to_check

    @property
    def latency_cycles(self) -> int:
        """From a frame's last input transfer to its result's last byte, all engines idle."""
        return sum(stage.latency_cycles for stage in self.stages)

    def walk(self) -> "Walk":
        """What follows frames through the engines, from reset."""
        return Walk(self.stages)

    def ideal_run(self, frames: int) -> list[tuple[int, int]]:
        """As that of ``FrameTiming``."""
        return self.walk().ideal_run(frames)


class Walk:
    """Follows frames through engines in a row, one frame after the other.

    For each frame ``arrive``, with the cycle of its last input transfer, gives the cycle in which its result is
    offered; then ``leave`` takes that of its result's last transfer. ``arrived`` has, for each engine, the cycles of
    all frames' last transfers to it.
    """

    def __init__(self, stages: tuple[FrameTiming, ...]):
        self.stages = stages
        self.arrived: list[list[int]] = [[] for _ in stages]
        self._starts: list[list[int]] = [[] for _ in stages]
        self._beats: list[int | None] = [None] * len(stages)
        self._sent: list[int] = []

    def arrive(self, cycle: int) -> int:
        """The cycle in which the next frame's result is offered; the frame's last transfer is in ``cycle``."""
        frame = len(self._sent)
        for index, stage in enumerate(self.stages):
            self.arrived[index].append(cycle)
            beat, room = self._beats[index], self._result_room(index, frame)
            start = max(cycle + stage.edge + 1, self._free(index, frame) + stage.beats,
                        stage.reset_to_check if beat is None else beat + stage.recover, 0 if stage.body else room)
            last = max(start + stage.body, room) + stage.head
            self._starts[index].append(start)
            self._beats[index] = last
            cycle = last + stage.result
        return max(cycle, self._sent[-1] + RESULT_GAP if frame else 0)

    def leave(self, cycle: int) -> None:
        """The frame's result was taken; its last transfer was in ``cycle``."""
        self._sent.append(cycle)

    def _free(self, index: int, frame: int) -> int:
        """The first cycle in which the frame's buffer at an engine's input is free."""
        stage = self.stages[index]
        before = frame - stage.input_buffers
        return self._starts[index][before] + stage.release if before >= 0 else 0

    def _result_room(self, index: int, frame: int) -> int:
        """The first cycle in which an engine's last layer may start."""
        if index + 1 < len(self.stages):
            # The map before has left, and the next engine has a free buffer.
            left = self.arrived[index + 1][frame - 1] + 1 if frame else 0
            return max(left, self._free(index + 1, frame))
        before = frame - self.stages[index].result_buffers
        return self._sent[before] + 1 if before >= 0 else 0

    def ideal_run(self, frames: int) -> list[tuple[int, int]]:
        """(first cycle of the result, cycle of its last byte) for frames that are always offered and always taken."""
        first, results = self.stages[0], []
        accept = -1  # cycle of the input's last transfer so far
        for frame in range(frames):
            # A frame's last transfer is as long before its last byte is in the buffer as the edge takes.
            accept = max(accept + first.beats, self._free(0, frame) + first.beats - 1 - first.edge)
            offered = self.arrive(accept)
            self.leave(offered + self.stages[-1].result_bytes - 1)
            results.append((offered, self._sent[-1]))
        return results
