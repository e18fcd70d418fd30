"""da4ml as a peer: its layers, and what it makes of small ones."""

import numpy as np
import pytest

from hw.bench import da4ml_peer
from hw.bench.rows import PeerRow
from hw.tools import ToolError


def test_layers():
    layers = da4ml_peer.random_layers((16, 4, 3))
    assert [weights.shape for weights, _ in layers] == [(16, 4), (4, 3)]
    assert {-1, 1} == set(np.unique(layers[0][0]))
    assert all(np.abs(thresholds).max() <= size / 8 + 1 for (_, thresholds), size in zip(layers, (16, 4)))
    vector = np.array([[1, 0] * 8])
    first = [int(sum(layers[0][0][::2, column]) >= layers[0][1][column]) for column in range(4)]
    second = [int(sum(bit * weight for bit, weight in zip(first, layers[1][0][:, column])) >= layers[1][1][column])
              for column in range(3)]
    assert da4ml_peer.evaluate(layers, vector).tolist() == [second]


def test_small_layers_are_placed(tmp_path, monkeypatch):
    pytest.importorskip("da4ml")
    row = PeerRow("small", "ice40-hx8k", (16, 4, 3), clock_mhz=20.0)
    found = da4ml_peer.measure_peer(row, tmp_path)
    assert (found["part"], found["synapses"]) == ("iCE40HX8K", 76)
    assert found["stages"] >= 2 and 16 < found["logic_cells"] < 500 and found["clock_mhz"] > 20
    monkeypatch.setattr(da4ml_peer, "evaluate", lambda layers, bits: np.ones((len(bits), 3)))
    with pytest.raises(ToolError, match="does not compute the layers"):
        da4ml_peer.measure_peer(row, tmp_path)
