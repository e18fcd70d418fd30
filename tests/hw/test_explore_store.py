"""Finished builds as files: read as they were written, and forgotten where they no longer hold."""

import dataclasses
import json

import pytest

from hw.boards import BOARDS
from hw.explore import digest
from hw.explore.digest import sources_digest
from hw.explore.job import Job, Trial, failed
from hw.explore.store import Store
from sw.engine import Engine

ENGINE = Engine(8, 3, 16, 2, 1)
JOB = Job("ice40", (("graph.json", b"{}"), ("graph.npz", b"123")), ENGINE, 24.375, (1, 2), 60.0, "abc")
TRIAL = Trial(ENGINE, 24.375, 1000, 1.0, estimates={1: 25.5}, problems={2: "hung"}, cells={"logic_cells": 900},
              seconds=12.5, logs={"yosys.log": "what it said\n"})


def test_a_trial_is_read_as_it_was_written(tmp_path):
    store = Store(tmp_path)
    assert store.load(JOB) is None
    store.save(JOB, TRIAL)
    assert store.load(JOB) == dataclasses.replace(TRIAL, logs={})
    assert (tmp_path / "logs" / JOB.name / "yosys.log").read_text() == "what it said\n"
    assert [path.name for path in (tmp_path / "builds").iterdir()] == ["8x3x16-drain2-buffers1-stages0-24.375mhz.json"]


@pytest.mark.parametrize("other", [
    {"digest": "abd"}, {"board": "ice40-hx8k"}, {"network": (("graph.json", b"{}"), ("graph.npz", b"124"))},
    {"clock_mhz": 24.0}, {"engine": Engine(8, 3, 16, 2, 2)},
])
def test_a_trial_of_something_else_is_not_taken(tmp_path, other):
    Store(tmp_path).save(JOB, TRIAL)
    assert Store(tmp_path).load(dataclasses.replace(JOB, **other)) is None


def test_seeds_and_limit_do_not_matter(tmp_path):
    Store(tmp_path).save(JOB, TRIAL)
    assert Store(tmp_path).load(dataclasses.replace(JOB, seeds=(7,), limit=None)) is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', "null"])
def test_a_damaged_file_is_as_none(tmp_path, content):
    store = Store(tmp_path)
    store.save(JOB, TRIAL)
    (tmp_path / "builds" / f"{JOB.name}.json").write_text(content)
    assert store.load(JOB) is None


def test_a_failure_is_tried_again_unless_the_part_is_too_small(tmp_path):
    store = Store(tmp_path)
    store.save(JOB, failed(JOB, 1000, "killed"))
    assert json.loads((tmp_path / "builds" / f"{JOB.name}.json").read_text())["failure"] == "killed"
    assert store.load(JOB) is None
    store.save(JOB, dataclasses.replace(failed(JOB, 1000, "5,300 logic cells"), too_large=True))
    assert store.load(JOB).too_large


def test_trial():
    trial = Trial(ENGINE, 24.0, 1000, 1.2, estimates={4: 28.0, 5: 30.0}, cells={"logic_cells": 9})
    assert (trial.seed, trial.reached_mhz, trial.meets_clock) == (5, 25.0, True)
    assert trial.frames_per_second == 24_000
    slower = dataclasses.replace(trial, estimates={4: 28.0})
    assert (slower.meets_clock, slower.frames_per_second) == (False, 0)
    nothing = failed(JOB, 1000, "killed")
    assert (nothing.seed, nothing.reached_mhz, nothing.meets_clock) == (None, 0, False)
    both = nothing.with_earlier(slower)
    assert (both.estimates, both.cells, both.failure) == ({4: 28.0}, {"logic_cells": 9}, None)
    assert nothing.with_earlier(nothing).failure == "killed"


def test_digest_follows_sources_tools_and_board(monkeypatch, tmp_path):
    first = sources_digest(BOARDS["ice40"])
    assert first == sources_digest(BOARDS["ice40"]) and len(first) == 16
    assert first != sources_digest(BOARDS["tinyfpga-bx"]) != sources_digest(BOARDS["ulx3s-25f"])

    def again():
        sources_digest.cache_clear()
        return sources_digest(BOARDS["ice40"])

    for name in ("hw", "sw"):
        (tmp_path / name).mkdir()
    source = tmp_path / "hw" / "array.py"
    source.write_text("rows = 1\n")
    monkeypatch.setattr(digest, "ROOT", tmp_path)
    found = [again()]
    source.write_text("rows = 2\n")
    found.append(again())
    source.rename(tmp_path / "hw" / "pe.py")
    found.append(again())
    (tmp_path / "hw" / "notes.txt").write_text("nothing of it counts\n")
    assert again() == found[-1]
    monkeypatch.setattr(digest, "tool_versions", lambda tools: {"yosys": "0"})
    found.append(again())
    sources_digest.cache_clear()
    assert len(set(found)) == len(found)
