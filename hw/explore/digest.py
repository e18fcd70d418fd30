"""What a build follows from beside its job: one digest of the sources and the tools' versions."""

import functools
import hashlib
import json
from pathlib import Path

from ..tools import tool_versions

__all__ = ["sources_digest"]

ROOT = Path(__file__).parents[2]
#: What makes a design of a graph. Training, this search and reports do not change it.
SOURCES = ("hw/*.py", "hw/families/*.py", "hw/pll/*.py", "hw/build/stages.py", "sw/*.py", "sw/ir/*.py",
           "sw/residual/*.py")


@functools.cache
def sources_digest(board):
    """Return the digest for a ``Board``, as hexadecimal digits: its row and its family's tools count too."""
    digest = hashlib.sha256(json.dumps(tool_versions(board.part.family.tools)).encode())
    digest.update(repr([getattr(board, name) for name in board.__dataclass_fields__ if name != "part"]).encode())
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
