"""``docs/performance.md`` from the benchmark's results: whole, and nothing in it from anywhere else."""

import json
from textwrap import fill

from sw.files import write_atomic

from .plots import overview
from .rows import ROWS
from .tables import make_tables, versions_of

__all__ = ["NAMES", "SCHEMA_VERSION", "as_document", "render_document", "write_document"]

SCHEMA_VERSION = 1

#: Columns of the page's text.
WIDTH = 120

#: Files that are written, by what they are.
NAMES = {"data": "performance.json", "page": "performance.md", "plot": "performance.svg"}

HEAD = """# Performance

Written by `python -m hw.bench --write-docs` from `performance.json` beside it, figure by figure; not edited by hand.
Clocks are nextpnr's estimates for the slowest silicon, best of up to three seeds; nothing was run on silicon.

![operations and logic cells](performance.svg)
"""


def as_document(results):
    """Return the results of ``hw.bench.runner.measure_rows`` as the one JSON document."""
    return {"schema_version": SCHEMA_VERSION, "versions": versions_of(results), "results": list(results)}


def render_document(document):
    """Return the page's text."""
    results = document["results"]
    parts = [HEAD, *(f"## {table.title}\n{fill(table.note, WIDTH)}\n\n{table.markdown()}\n"
                     for table in make_tables(results))]
    lost = [(result["name"], result["reason"]) for result in results if "reason" in result]
    lost += [(result["name"], part["reason"]) for result in results if "values" in result
             for part in _placed(result["values"]) if "reason" in part]
    if lost:
        parts.append("## Not measured\n" + "\n".join(f"`{name}`:\n\n{_quote(reason)}\n" for name, reason in lost))
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    parts.append(f"## Tools\n{fill(versions, WIDTH)}\n")
    return "\n".join(parts)


def _placed(values):
    """The parts of a measurement that can have a reason of their own why something is missing."""
    return [values, *values.get("forms", {}).values(), *([values["counted"]] if "counted" in values else [])]


def _quote(reason):
    return "\n".join(f"    {line.strip()}" for line in reason.splitlines())


def write_document(results, folder):
    """Write the data, the page and the plot to ``folder``. Raises ``ValueError`` if a row of the list is missing."""
    names = {result["name"] for result in results}
    if lacking := [name for name in ROWS if name not in names]:
        raise ValueError(f"the page needs all rows, and {', '.join(lacking)} are missing; leave out --only")
    document = as_document(results)
    contents = {
        "data": json.dumps(document, indent=1) + "\n", "page": render_document(document), "plot": overview(results)}
    for what, content in contents.items():
        write_atomic(folder / NAMES[what], content)
