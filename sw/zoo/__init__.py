"""Trained networks, each a folder here: checkpoint, lowered graph, and test images for simulations.

Wherever one of them can be named, the folder of a network of one's own can be, as ``sw.export`` writes it.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.errors import ArtifactError, CompileError, UnsupportedLayerError
from sw.graph_file import load_graph
from sw.passes.verify_lowered import verify_lowered

__all__ = ["ZooEntry", "default", "load", "names", "resolve"]

_FOLDER = Path(__file__).parent

#: Of nothing else is a chain.
_CHAIN = (ir.Input, ir.Conv, ir.Threshold, ir.MaxPool, ir.Scores)


@dataclass(frozen=True, eq=False)
class ZooEntry:
    """A lowered graph and the folder it is from. Test images are read when they are first asked for."""

    graph: ir.Graph
    folder: Path

    @property
    def name(self) -> str:
        """The network's."""
        return self.graph.name

    @property
    def accuracy(self) -> Mapping[str, Any]:
        """``integer``, and ``float`` where there was such a model: fractions of ``images`` test images. Empty if it was
        never measured.
        """
        return self.graph.metadata.get("accuracy", {})

    @property
    def images(self) -> NDArray[np.uint8]:
        """Test images ``(N, H, W, C)``. Raises ``ArtifactError`` if the folder has none that fit."""
        return self._sample[0]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Their classes ``(N,)``. Raises ``ArtifactError`` likewise."""
        return self._sample[1]

    @cached_property
    def _sample(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        path = self.folder / "sample.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                images, labels = arrays["images"], arrays["labels"].astype(np.int64)
        except Exception as error:  # numpy, zipfile and zlib each have their own
            raise ArtifactError(f"{path} cannot be read ({error}); make it with python -m sw.export") from None
        if images.dtype != np.uint8 or images.shape[1:] != self.graph.inputs.shape or len(images) != len(labels):
            raise ArtifactError(f"{path}: its images {images.shape} and labels {labels.shape} do not fit the network, "
                                f"which takes {self.graph.inputs.shape}; make it with python -m sw.export")
        return images, labels


def names() -> tuple[str, ...]:
    """Names of all networks here."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/graph.json")))


def default() -> str:
    """Name of the network that is meant if none is named."""
    return "cnn-fashion"


def resolve(name_or_folder: str | Path) -> Path:
    """The folder of a network here, by name, or the folder itself if it holds a graph.

    Raises ``CompileError`` with what there is, and the nearest name.
    """
    if name_or_folder in names():
        return _FOLDER / name_or_folder
    folder = Path(name_or_folder)
    if (folder / "graph.json").is_file():
        return folder
    if folder.is_dir():
        raise CompileError(f"network folder {folder} has no graph.json; make it with python -m sw.export")
    near = difflib.get_close_matches(str(name_or_folder), names(), n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise CompileError(f"unknown network: {str(name_or_folder)!r}. There are: {', '.join(names())}, or a folder of "
                       f"python -m sw.export{hint}")


def load(name_or_folder: str | Path) -> ZooEntry:
    """A network by name or folder.

    Any lowered graph is taken; whether an engine has what it needs is for ``sw.compile`` to say.
    Raises ``CompileError`` if there is none, or its files are damaged (``ArtifactError``), or it is not lowered
    (``UnsupportedLayerError``).
    """
    folder = resolve(name_or_folder)
    return ZooEntry(_verified(load_graph(folder)), folder)


def _verified(graph: ir.Graph) -> ir.Graph:
    """The graph itself, if it is lowered: a chain as ``verify_lowered`` has it, any other one of integers."""
    if all(isinstance(node, _CHAIN) for node in graph.nodes):
        return verify_lowered(graph)
    real = [f"{node.name}: {type(node).__name__}, which no lowered network has; run sw.passes.lower"
            for node in graph.nodes if isinstance(node, ir.BatchNorm | ir.Sign)]
    if real:
        raise UnsupportedLayerError(real)
    return graph
