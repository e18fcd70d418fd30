"""Graphs as files: a folder with ``graph.json``, which lists the nodes, and ``graph.npz`` with their arrays.

The json carries the schema version and the sha256 of the npz. Weights are stored as bits. The same graph
always gives the same bytes. A node's fields are stored as ``sw.ir`` declares them: a new kind of node needs
nothing here, and files from before a field had its default read as that.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.errors import ArtifactError, CompileError
from sw.files import npz_bytes, write_atomic
from sw.numerics import bits_to_signs, signs_to_bits

__all__ = ["SCHEMA", "load_graph", "save_graph"]

SCHEMA = 1

_KINDS: Mapping[str, type[ir.Node]] = {
    kind.__name__: kind for kind in ir.KINDS
}

_REMEDY = "export the network again with python -m sw.export"


def save_graph(graph: ir.Graph, folder: Path | str) -> tuple[Path, Path]:
    """Write a graph to ``folder``, each file whole or not at all. Returns the paths of json and npz.

    Raises ``CompileError`` if JSON cannot hold the metadata, and ``OSError``.
    """
    arrays: dict[str, NDArray[Any]] = {}
    nodes = []
    for node in graph.nodes:
        fields: dict[str, Any] = {"kind": type(node).__name__}
        for item in dataclasses.fields(node):
            value = getattr(node, item.name)
            if isinstance(value, np.ndarray):
                key = f"{node.name}.{item.name}"
                signs = value.dtype == np.int8  # only weights are
                arrays[key] = np.packbits(signs_to_bits(value)) if signs else value
                value = {"array": key, "signs": list(value.shape)} if signs else {"array": key}
            fields[item.name] = value
        nodes.append(fields)
    contents = npz_bytes(arrays)
    header = {"schema": SCHEMA, "sha256": hashlib.sha256(contents).hexdigest(), "name": graph.name,
              "metadata": dict(graph.metadata), "nodes": nodes}
    try:
        text = json.dumps(header, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CompileError(f"network {graph.name}: JSON cannot hold its metadata: {error}") from None
    paths = Path(folder) / "graph.json", Path(folder) / "graph.npz"
    write_atomic(paths[1], contents)
    write_atomic(paths[0], text + "\n")
    return paths


def load_graph(folder: Path | str) -> ir.Graph:
    """Read a graph that ``save_graph`` wrote.

    Raises ``ArtifactError`` if a file is missing or damaged, of another schema, or not of the other's hash.
    """
    listing, data = Path(folder) / "graph.json", Path(folder) / "graph.npz"
    for path in (listing, data):
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; {_REMEDY}")
    try:
        header = json.loads(listing.read_text(encoding="utf-8"))
        schema = header["schema"]
    except (ValueError, TypeError, KeyError):
        raise ArtifactError(f"{listing} is damaged or is no graph; {_REMEDY}") from None
    if schema != SCHEMA:
        raise ArtifactError(f"{listing} has schema {schema!r}, but this version reads {SCHEMA}; {_REMEDY}")
    contents = data.read_bytes()
    if hashlib.sha256(contents).hexdigest() != header.get("sha256"):
        raise ArtifactError(f"{data} does not have the sha256 that {listing.name} states; {_REMEDY}")
    try:
        with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
            nodes = tuple(_node(fields, arrays) for fields in header["nodes"])
        return ir.Graph(nodes, header["name"], header["metadata"])
    except (KeyError, TypeError, ValueError, AttributeError, CompileError) as error:
        raise ArtifactError(f"{listing} lists no graph: {error}; {_REMEDY}") from None


def _node(fields: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> ir.Node:
    kind = _KINDS[fields.pop("kind")]
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            array = arrays[value["array"]]
            if "signs" in value:
                shape = value["signs"]
                array = bits_to_signs(np.unpackbits(array, count=int(np.prod(shape)))).reshape(shape)
            values[name] = array
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
