"""Files of a pipeline: they come back as they went, and damage is found."""

import dataclasses
import json

import numpy as np
import pytest

from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import ArtifactError
from sw.pipeline import Pipeline, compile_pipeline
from sw.pipeline_file import load_design, save_design
from sw.program import Program
from tests.sw.networks import random_cnn

GRAPH = random_cnn(33, (7, 6, 1), 2, (8, 6), classes=4)
ENGINES = [Engine(4, 2, 8, 2), Engine(2, 3, 16)]


def test_pipeline_comes_back(tmp_path):
    pipeline = compile_pipeline(GRAPH, ENGINES)
    save_design(pipeline, tmp_path)
    loaded = load_design(tmp_path)
    assert isinstance(loaded, Pipeline)
    for program, other in zip(pipeline.programs, loaded.programs, strict=True):
        for field in dataclasses.fields(Program):
            np.testing.assert_equal(getattr(other, field.name), getattr(program, field.name))
    assert loaded.schedule == pipeline.schedule


def test_program_comes_back(tmp_path):
    save_design(compile_graph(GRAPH, ENGINES[0]), tmp_path)
    assert isinstance(load_design(tmp_path), Program)
    assert load_design(tmp_path).engine == ENGINES[0]


def header(folder, **changes):
    path = folder / "pipeline.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def swap(folder):
    for name in ("program.json", "program.npz"):
        one, other = (folder / place / name for place in ("engine1", "engine2"))
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)


@pytest.mark.parametrize(("damage", "message"), [
    (lambda folder: (folder / "pipeline.json").write_text("{"), r"pipeline.json cannot be read \("),
    (lambda folder: header(folder, engines="two"), r"pipeline.json cannot be read \("),
    (lambda folder: header(folder, schema=7), "schema 7, this version reads 1"),
    (lambda folder: header(folder, engines=3), "engine3: cannot be read"),
    (lambda folder: header(folder, engines=1), "its programs are not for engines that follow each other"),
    (lambda folder: (folder / "engine2" / "program.npz").unlink(), "engine2: cannot be read"),
    (swap, "its programs are not for engines that follow each other"),
])
def test_damage_is_found(tmp_path, damage, message):
    save_design(compile_pipeline(GRAPH, ENGINES), tmp_path)
    damage(tmp_path)
    with pytest.raises(ArtifactError, match=f"{message}.*; compile the network again$"):
        load_design(tmp_path)
