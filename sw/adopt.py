"""``python -m sw.adopt``: a network that others trained and spread as integers becomes a graph, and is measured."""

import hashlib
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from sw import ir
from sw.command import Parser, run_command
from sw.errors import DataError
from sw.frontend.bnn_pynq import import_bnn_pynq
from sw.network_folder import write_network
from sw.reference import run
from sw.train import data

__all__ = ["adopt", "main"]

_BATCH = 250


def adopt(path: Path | str, folder: Path | str, *, data_name: str = "cifar10", data_dir: Path | None = None,
          progress: bool = False) -> ir.Graph:
    """Write the graph of an archive of ``sw.frontend.bnn_pynq`` and the first test images to ``folder``, whose name it
    gets.

    Its metadata has the accuracy on all test images of the data set, whose labels count the archive's classes. Raises
    ``CompileError`` and ``OSError``; then ``folder`` is as it was.
    """
    path, folder = Path(path), Path(folder)
    content = path.read_bytes()
    dataset = data.load(data_name, data_dir)
    _, channels, height, width = dataset.test_images.shape
    graph = import_bnn_pynq(path, (height, width, channels), folder.resolve().name)
    classes = len(graph.metadata["labels"])
    if dataset.classes > classes:
        raise DataError(f"{data_name} has {dataset.classes} classes, more than the {classes} of {path}; take the data "
                        f"set that the network was trained on")
    right = _right(graph, dataset, progress)
    images = len(dataset.test_images)
    graph = graph.replace(metadata={
        **graph.metadata, "accuracy": {"integer": right / images, "images": images}, "data": data_name,
        "archive_sha256": hashlib.sha256(content).hexdigest()})
    write_network(graph, folder, dataset)
    return graph


def _right(graph: ir.Graph, dataset: data.Dataset, progress: bool) -> int:
    """Test images whose class the integer reference finds."""
    batches = list(zip(dataset.test_images.split(_BATCH), dataset.test_labels.split(_BATCH)))
    return sum(
        int(np.sum(run(graph, images.permute(0, 2, 3, 1).numpy()).classes == labels.numpy()))
        for images, labels in tqdm(batches, desc="test images", unit="batch", leave=False, disable=not progress))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for input that it cannot use, 130 when interrupted."""
    return run_command("sw.adopt", lambda: _main(arguments), "the folder may lack files, so run it again")


def _main(arguments: list[str] | None) -> int:
    parser = Parser(
        prog="python -m sw.adopt",
        description="Turn a network of others into a graph for hw.build, and measure it on the whole test set.")
    parser.add_argument("--bnn-pynq", metavar="FILE", type=Path, required=True,
                        help="weights and thresholds of BNN-PYNQ's CNV, an .npz file as docs/importing.md describes it")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True,
                        help="for graph.json, graph.npz and sample.npz; its name becomes the network's")
    parser.add_argument("--data", metavar="NAME", choices=list(data.SOURCES), default="cifar10",
                        help="the data set that it was trained on (%(default)s)")
    parser.add_argument("--data-dir", metavar="PATH", type=Path, help="where it is, as for sw.train")
    given = parser.parse_args(arguments)
    graph = adopt(given.bnn_pynq, given.out, data_name=given.data, data_dir=given.data_dir,
                  progress=sys.stderr.isatty())
    accuracy = graph.metadata["accuracy"]
    images = accuracy["images"]
    print(f"{graph.name}: {accuracy['integer']:.2%} of {images} test images of {given.data}, "
          f"{round(accuracy['integer'] * images)} right")
    print(f"wrote {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
