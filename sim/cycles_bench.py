"""cocotb: frames through the accelerator back to back, without gaps or stalls, for counting cycles."""

import cocotb
from cocotb.triggers import Timer

from sim.bench import fill_cycles
from sim.check import check_results
from sim.driver import PERIOD, BenchDriver
from sim.job import load_job, save_records

__all__ = ["RECORDS", "back_to_back"]

#: Name of what is saved.
RECORDS = "back_to_back"


@cocotb.test()
async def back_to_back(dut):
    """Every frame of the job; the results are the reference's, their cycles are saved."""
    job = load_job()
    driver = BenchDriver(dut, job.program)
    await driver.reset()
    await driver.load(job.payloads)
    # The first frame finds the engine idle, and a store that is shared filled.
    timing, filled = job.program.schedule.timing, fill_cycles(job.program)
    ready = (timing.loaded(filled) if filled else timing).reset_to_check
    await Timer(ready * PERIOD, unit="ns")
    await driver.start(len(job.payloads))
    records = await driver.results(len(job.payloads))
    check_results(records, job.expected, job.program.score_bytes)
    save_records(RECORDS, records)
