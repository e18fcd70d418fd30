"""Counting cycles: those of the schedule, and a wrong program is found."""

import dataclasses
import json

import pytest

from sim.cycles import count_cycles, main
from sw.compile import compile_graph
from sw.engine import Engine
from tests.sw.networks import random_images, random_mlp
from tests.sw.test_residual_program import NETWORKS


def check(program, graph):
    images, schedule = random_images(3, graph.inputs.shape, 5), program.schedule
    assert count_cycles(program, graph, images) == {
        "frames": 5, "cycles_per_frame": [schedule.cycles_per_frame] * 4, "latency_cycles": schedule.latency_cycles}


def test_store_is_filled_before_the_first_frame():
    graph, engine = NETWORKS["identity"]
    check(compile_graph(graph, engine, shared_store=True), graph)


def test_counted_cycles_are_the_schedules():
    graph = random_mlp(2, sizes=((8, 8, 1), 16, 3))
    program = compile_graph(graph, Engine(4, 1, 8, 2))
    images = random_images(3, graph.inputs.shape, 5)
    check(program, graph)
    thresholds = program.thresholds + 2
    with pytest.raises(RuntimeError, match="1 of 1 simulations of sim.cycles_bench failed"):
        count_cycles(dataclasses.replace(program, thresholds=thresholds), graph, images)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--network", "mlp-fashion", "--frames", "2"], "--frames must be at least 3, not 2"),
    (["--network", "mlp-fashion", "--frames", "100000"], "--frames must be at most "),
])
def test_bad_options(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path), *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_folder_without_a_program(tmp_path, capsys):
    assert main([str(tmp_path), "--network", "mlp-fashion"]) == 2
    (tmp_path / "program.json").write_text(json.dumps({"schema": 0}))
    assert main([str(tmp_path), "--network", "mlp-fashion"]) == 2
    assert all(line.startswith("sim.cycles: ") for line in capsys.readouterr().err.splitlines())
