"""Names that a user may mistype."""

import difflib
from collections.abc import Sequence

from sw.errors import CompileError

__all__ = ["nearest"]


def nearest(kind: str, given: str, known: Sequence[str], error_type: type[CompileError]) -> str:
    """``given`` if it is one of ``known``; else an ``error_type`` that lists them and names the most similar one.

    ``kind`` is what the names are of, in the singular and without an article: "model", "data set".
    """
    if given in known:
        return given
    similar = difflib.get_close_matches(given, known, n=1)
    hint = f"; did you mean {similar[0]!r}?" if similar else "."
    raise error_type(f"unknown {kind}: {given!r}{hint} There are: {', '.join(known)}")
