"""cocotb: what engines in a row make of a frame: every layer's map, every link's, and when a link has sent it."""

import cocotb
from cocotb.triggers import FallingEdge

from sim.check import Mismatch, first_difference, unpack_link, unpack_maps
from sim.driver import BenchDriver
from sim.job import load_job


class Watch:
    """Notes the writes of each engine, the beats of each link, and in which cycles those were a map's last."""

    def __init__(self, dut, pipeline):
        self.dut = dut
        self.writes = [[] for _ in pipeline.programs]
        self.beats = [[] for _ in pipeline.links]
        self.ends = [[] for _ in pipeline.links]
        self._columns = [program.engine.columns for program in pipeline.programs]

    async def run(self):
        dut = self.dut
        traces = [[getattr(dut, f"trace_{index}__{name}") for name in ("valid", "layer", "address", "words")]
                  for index in range(len(self.writes))]
        links = [[getattr(dut, f"link_{index}__{name}") for name in ("valid", "last", "part")]
                 for index in range(len(self.beats))]
        while True:
            await FallingEdge(dut.clk)
            for index, (valid, layer, address, words) in enumerate(traces):
                if valid.value:
                    columns = self._columns[index]
                    lanes, value = len(words) // columns, int(words.value)
                    self.writes[index].append((int(layer.value), int(address.value), [
                        value >> lanes * column & (1 << lanes) - 1 for column in range(columns)]))
            for index, (valid, last, part) in enumerate(links):
                if valid.value:
                    self.beats[index].append(int(part.value))
                    if last.value:
                        self.ends[index].append((len(self.beats[index]), int(dut.cycle.value)))


@cocotb.test()
async def maps(dut):
    """Every layer's map and every link's, of the job's frames that have maps; frames follow each other."""
    job = load_job()
    pipeline, frames = job.program, len(job.maps[0])
    driver, watch = BenchDriver(dut, pipeline), Watch(dut, pipeline)
    await driver.reset()
    await driver.load(job.payloads[:frames])
    cocotb.start_soon(watch.run())
    await driver.start(frames)
    records = await driver.results(frames)
    wanted = iter(job.maps)
    for index, program in enumerate(pipeline.programs):
        own = [next(wanted) for _ in program.layer_shapes[:None if program.target else -1]]
        for frame in range(frames):
            writes = _share(watch.writes[index], frame, frames)
            _compare(program, frame, unpack_maps(program, writes), [layer[frame] for layer in own])
            if program.target:
                link = program.target
                sent = unpack_link(link, _share(watch.beats[index], frame, frames))
                _compare(program, frame, [sent], [own[-1][frame]], names=[f"link behind {link.name}"])
    _check_ends(pipeline, watch.ends, records)


def _share(rows, frame, frames):
    size = len(rows) // frames
    return rows[frame * size:(frame + 1) * size]


def _compare(program, frame, found, wanted, names=None):
    difference = first_difference(program, found, wanted, names)
    if difference:
        raise Mismatch(f"frame {frame}: {difference}")


def _check_ends(pipeline, ends, records):
    """Each map's last beat, and no other, is marked, and passes in the very cycle that the schedule predicts."""
    walk = pipeline.schedule.timing.walk()
    for record in records:
        walk.arrive(record.arrived)
        walk.leave(record.sent)
    for link, found, cycles in zip(pipeline.links, ends, walk.arrived[1:], strict=True):
        predicted = [((frame + 1) * link.beats, cycle) for frame, cycle in enumerate(cycles)]
        if found != predicted:
            raise Mismatch(f"link behind {link.name}: maps ended with (beats, cycle) {found}, the schedule says "
                           f"{predicted}")
