"""cocotb: whole frames through the accelerator, back to back, under every kind of gap and stall."""

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

from sim.bench import Pattern, fill_cycles
from sim.check import Mismatch, check_cycles, check_results, first_difference, unpack_maps
from sim.driver import BenchDriver
from sim.job import load_job, save_records
from sim.layout import check_frame

PATTERNS = [Pattern.NONE, Pattern.PERIODIC, Pattern.RANDOM]


@cocotb.test()
@cocotb.parametrize(gaps=[pattern.name for pattern in PATTERNS], stalls=[pattern.name for pattern in PATTERNS])
async def frames(dut, gaps, stalls):
    """An equal share of the job's frames: scores, class and the cycle of every result."""
    job = load_job()
    share = len(job.payloads) // len(PATTERNS)**2
    index = len(PATTERNS) * PATTERNS.index(Pattern[gaps]) + PATTERNS.index(Pattern[stalls])
    chosen = slice(index * share, (index + 1) * share)
    driver = BenchDriver(dut, job.program)
    await driver.reset()
    await driver.load(job.payloads[chosen])
    await driver.start(share, input_pattern=Pattern[gaps].value, output_pattern=Pattern[stalls].value)
    records = await driver.results(share)
    save_records(f"frames_{gaps}_{stalls}", records)
    check_results(records, job.expected[chosen], job.program.score_bytes)
    timing = job.program.schedule.timing
    check_cycles(records, timing.loaded(fill_cycles(job.program)) if fill_cycles(job.program) else timing)
    if not int(dut.ended.value) or int(dut.dropped.value):
        raise Mismatch("TLAST was not with the last byte of each result, or a good frame was dropped")


@cocotb.test()
async def maps(dut):
    """Every binary map of every layer, for the job's frames that have maps."""
    job = load_job()
    frames = len(job.maps[0])
    driver = BenchDriver(dut, job.program)
    await driver.reset()
    await driver.load(job.payloads[:frames])
    names = ["trace", "word_trace"][:1 + bool(job.layouts)]
    writes = {name: [] for name in names}

    async def watch():
        ports = {name: [getattr(dut, f"{name}__{member}") for member in ("valid", "layer", "address", "words")]
                 for name in names}
        while True:
            await FallingEdge(dut.clk)
            for name, (valid, *members) in ports.items():
                if valid.value:
                    writes[name].append([int(member.value) for member in members])

    cocotb.start_soon(watch())
    await driver.start(frames)
    await driver.results(frames)
    traces = [_frames(writes[name], job.program.engine.columns, len(getattr(dut, f"{name}__words")), frames)
              for name in names]
    for frame in range(frames):
        own = [trace[frame] for trace in traces]
        maps = [layer[frame] for layer in job.maps]
        if job.layouts:
            check_frame(job.layouts, *own, maps, [words[frame] if len(words) else None for words in job.words],
                        job.program)
            continue
        difference = first_difference(job.program, unpack_maps(job.program, own[0]), maps)
        if difference:
            raise Mismatch(f"frame {frame}: {difference}")


def _frames(writes, columns, width, frames):
    """A trace cut where layers or, in one layer, addresses begin again; each word is a list of its columns'."""
    width //= columns
    mask = (1 << width) - 1
    rows = [(layer, address, [words >> width * column & mask for column in range(columns)])
            for layer, address, words in writes]
    starts = [index for index, row in enumerate(rows) if index == 0 or row[:2] <= rows[index - 1][:2]]
    if not rows:
        return [[] for _ in range(frames)]
    if len(starts) != frames:
        raise Mismatch(f"{len(starts)} frames were computed instead of {frames}")
    return [rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]


@cocotb.test()
@cocotb.parametrize(fault=["short", "long", "reset"])
async def recovery(dut, fault):
    """A frame that is too short or too long is dropped with its reason, a reset forgets; the next frames are right."""
    job = load_job()
    program = job.program
    driver = BenchDriver(dut, program)
    await driver.reset()
    await driver.load(job.payloads[:3])
    if fault == "reset":
        await driver.start(2)
        for _ in range(program.input_bytes + program.schedule.latency_cycles // 2):
            await RisingEdge(dut.clk)
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        driver.records.clear()
        driver.arrivals.clear()
        await driver.start(3)
        check_results(await driver.results(3), job.expected[:3], job.program.score_bytes)
        return
    length = {"early": 5} if fault == "short" else {"late": 7}
    await driver.start(3, fault_frame=1, **length)
    records = await driver.results(2)
    check_results(records, job.expected[[0, 2]], program.score_bytes)
    if int(dut.dropped.value) != 1 or int(dut.last_error.value) != (1 if fault == "short" else 2):
        raise Mismatch(f"a frame that is too {fault} gave {int(dut.dropped.value)} errors, the last of kind "
                       f"{int(dut.last_error.value)}")
