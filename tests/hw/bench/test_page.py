"""The page in the repository is what the data beside it render to, and has every row."""

import json
from pathlib import Path

from hw.bench.document import NAMES, render_document
from hw.bench.rows import ROWS

DOCS = Path(__file__).parents[3] / "docs"


def test_page_is_of_its_data():
    document = json.loads((DOCS / NAMES["data"]).read_text())
    assert (DOCS / NAMES["page"]).read_text() == render_document(document)
    assert [result["name"] for result in document["results"]] == list(ROWS)
    assert (DOCS / NAMES["plot"]).read_text().startswith("<svg")
