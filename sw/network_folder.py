"""A network's folder, as ``hw.build``, ``hw.host`` and the benches take it: its graph and the first test images."""

from pathlib import Path

import numpy as np

from sw import ir
from sw.files import npz_bytes, write_atomic
from sw.graph_file import save_graph
from sw.train.data import Dataset

__all__ = ["SAMPLE", "write_network"]

#: Test images, from the first on, that go with a graph for simulations.
SAMPLE = 300


def write_network(graph: ir.Graph, folder: Path, dataset: Dataset) -> None:
    """Write a lowered graph and test images of ``dataset`` to ``folder``.

    Raises ``CompileError`` if JSON cannot hold the graph's metadata, and ``OSError``.
    """
    images = dataset.test_images[:SAMPLE].permute(0, 2, 3, 1).numpy()
    labels = dataset.test_labels[:SAMPLE].numpy().astype(np.uint8)
    write_atomic(folder / "sample.npz", npz_bytes({"images": images, "labels": labels}))
    save_graph(graph, folder)
