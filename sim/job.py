"""What a pytest hands to the cocotb side of a simulation, and what comes back: one folder with plain files."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sim.layout import Layout, as_json, from_json
from sw.files import write_atomic
from sw.pipeline import Pipeline
from sw.pipeline_file import load_design, save_design
from sw.program import Program

__all__ = ["ENVIRONMENT", "Job", "Record", "load_job", "load_records", "save_job", "save_records"]

#: Names the job's folder to the simulator's process.
ENVIRONMENT = "POPFORGE_JOB"


@dataclass(frozen=True, eq=False)
class Job:
    """Frames to run: ``payloads`` and ``expected`` are ``uint8`` arrays of a row a frame, the bytes of the input
    stream and of the result. ``maps`` has, for each layer but the last, +-1 ``(N, H, W, C)`` of the first N frames; of
    a network with words ``words`` has the same of its words, and ``layouts`` says where both are stored."""

    program: Program | Pipeline
    payloads: np.ndarray
    expected: np.ndarray
    maps: tuple[np.ndarray, ...] = ()
    words: tuple[np.ndarray, ...] = ()
    layouts: tuple[Layout, ...] = ()


@dataclass(frozen=True)
class Record:
    """What the bench saw of one frame; cycles count from reset."""

    arrived: int
    offered: int
    sent: int
    result: bytes


def save_job(folder, job):
    """Write ``job`` to ``folder`` and return the environment that names it."""
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    save_design(job.program, folder / "program")
    np.savez(folder / "job.npz", payloads=job.payloads, expected=job.expected,
             **{f"map_{index}": signs for index, signs in enumerate(job.maps)},
             **{f"words_{index}": words for index, words in enumerate(job.words)})
    write_atomic(folder / "layouts.json", json.dumps(as_json(job.layouts)))
    return {ENVIRONMENT: str(folder)}


def load_job():
    """The job that the environment names."""
    folder = Path(os.environ[ENVIRONMENT])
    with np.load(folder / "job.npz") as arrays:
        maps, words = (
            tuple(arrays[f"{kind}_{index}"] for index in range(sum(name.startswith(kind) for name in arrays.files)))
            for kind in ("map", "words"))
        layouts = tuple(from_json(json.loads((folder / "layouts.json").read_text())))
        return Job(load_design(folder / "program"), arrays["payloads"], arrays["expected"], maps, words, layouts)


def save_records(name, records):
    """Write a simulation's records beside its job."""
    rows = [{**asdict(record), "result": record.result.hex()} for record in records]
    write_atomic(Path(os.environ[ENVIRONMENT]) / f"{name}.json", json.dumps(rows))


def load_records(folder, name):
    """The records of a simulation."""
    rows = json.loads((Path(folder) / f"{name}.json").read_text())
    return [Record(row["arrived"], row["offered"], row["sent"], bytes.fromhex(row["result"])) for row in rows]
