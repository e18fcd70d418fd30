"""The report's schema, page and plots."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from jschon import JSON, JSONSchema, create_catalog

from hw.boards import BOARDS
from hw.report import plots
from hw.report.floorplan import PlacedCell
from hw.report.html import render_page

FLOORPLAN = [
    PlacedCell("logic cell", "accelerator.array", 3, 4, 0), PlacedCell("logic cell", "accelerator.array", 3, 4, 7),
    PlacedCell("logic cell", "link", 9, 20, 2), PlacedCell("block RAM", "accelerator.weights", 6, 1, 0),
    PlacedCell("large RAM", "accelerator.features", 0, 1, 0), PlacedCell("PLL", "clocking", 12, 31, 3),
    PlacedCell("pin", "board", 9, 0, 1),
]


@pytest.fixture(scope="module")
def schema():
    create_catalog("2020-12")
    return JSONSchema(json.loads((files("hw.report") / "schema.json").read_text()))


def is_valid(schema, report):
    return schema.evaluate(JSON(report)).valid


def test_schema_is_itself_valid(schema):
    assert schema.validate().valid


def test_samples_are_valid(schema, check_sample, build_sample):
    assert is_valid(schema, check_sample)
    assert is_valid(schema, build_sample)


@pytest.mark.parametrize("change", [
    {"network": None}, {"schema_version": 2}, {"kind": "other"}, {"array_utilisation": -0.1}, {"cycles_per_frame": 0},
    {"synapses_per_cycle": 768.5}, {"layers": []}, {"unknown": 1}, {"accuracy": {"float": 0.9, "integer": 0.9}},
    {"cells": {"used": {"logic_cells": 1}}}, {"steps": {"synthesise": -1}}, {"clock_mhz_estimate": 0},
])
def test_wrong_values_are_invalid(schema, build_sample, change):
    assert not is_valid(schema, build_sample | change)


def test_every_required_key_is_missed(schema, build_sample):
    for key in build_sample:
        assert not is_valid(schema, {name: value for name, value in build_sample.items() if name != key}), key


@pytest.mark.parametrize("key", ["clock_mhz_estimate", "cells", "seed", "seeds_tried", "critical_path", "files"])
def test_check_has_nothing_that_needs_synthesis(schema, check_sample, build_sample, key):
    assert not is_valid(schema, check_sample | {key: build_sample[key]})


class Page(HTMLParser):
    """Checks that elements nest, and keeps the text outside of style sheets and pictures."""

    VOID = {"meta", "br", "link", "img"}

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.references = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "svg"} & set(self.open):
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def part():
    return BOARDS["ice40"].part


def test_page_shows_the_figures(build_sample, part):
    words = Page(render_page(build_sample, FLOORPLAN, part)).words
    for figure in (
        "two <convolutions> on the iCEBreaker", "5,216 frames/s", "193 µs", "90.1 % of 10,000 test images", "768",
        "58.4 %", "31.3 MHz", "2,063,488", "3,012 5,280 57.0 % 2,950", "6 39 15.4 %", "59.7 %", "90.12 %", "90.11 %",
        "weights 256 190 1 16 48,640 74.2 %", "32.0 ns through 1 level of logic: 14.5 ns in cells, 17.5 ns in wires",
        "128 frames/s", "accelerator.array 2", "1 23.40 2 31.27", "all 0.6", "an estimate of the slowest silicon",
        "nothing here was measured on a board",
    ):
        assert figure in words, figure
    assert "None" not in words


def test_page_of_a_part_without_large_rams_and_with_flip_flops_of_their_own(build_sample):
    part = BOARDS["ulx3s-25f"].part
    cells = build_sample["cells"]
    cells["used"] |= {"flip_flops": 1234}
    cells["available"] |= {"flip_flops": 24288, "large_rams": 0}
    page = render_page(build_sample, [cell for cell in FLOORPLAN if cell.kind != "large RAM"], part)
    words = Page(page).words
    assert "flip-flops 1,234 24,288 5.1 %" in words
    assert "Flip-flops, which stand beside the logic cells here, are left out." in words
    assert "large RAMs" not in words
    assert "block RAM, 18,432 bits each" in page and "large RAM, 262,144 bits each" not in page


def test_page_refers_to_nothing_outside(build_sample, part):
    page = Page(render_page(build_sample, FLOORPLAN, part))
    outside = [name for name in page.references if not name.startswith("#")]
    assert sorted(outside) == sorted(build_sample["files"].values())


def test_page_says_when_the_clock_is_missed(build_sample, part):
    build_sample["clock_mhz_estimate"] = 20.0
    assert re.search(r'class="bad">nextpnr', render_page(build_sample, FLOORPLAN, part))


def test_page_without_accuracy_or_3x3_layers(build_sample, part):
    build_sample.update(accuracy=None, array_utilisation_3x3=None, critical_path=[])
    words = Page(render_page(build_sample, FLOORPLAN, part)).words
    assert not re.search("Accuracy|test images|together reach|slowest path", words)


def test_accuracy_of_integers_alone(schema, build_sample, part):
    build_sample["accuracy"] = {"integer": 0.74, "images": 300}
    assert is_valid(schema, build_sample)
    words = Page(render_page(build_sample, FLOORPLAN, part)).words
    assert "74.00 %" in words and "float" not in words


def test_page_is_repeatable(build_sample, part):
    assert render_page(build_sample, FLOORPLAN, part) == render_page(build_sample, FLOORPLAN, part)


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_cycles_plot(build_sample):
    found = texts(plots.cycles_per_layer(build_sample["layers"]))
    assert {"conv1", "conv2", "head", "1,091", "3,352", "158"} <= set(found)


def test_memory_map_draws_every_ram(build_sample):
    def squares(memories):
        svg = plots.memory_map(memories, {"block_rams": 30, "large_rams": 4})
        return len(re.findall("<g id=\"patch_", svg)), texts(svg)

    none, _ = squares([])
    all_of_them, words = squares(build_sample["memories"])
    in_use = sum(memory["block_rams"] + memory["large_rams"] for memory in build_sample["memories"])
    # Two patches a RAM in use (its square and its filling) and one a memory in the legend. Two of the six large RAMs
    # are beyond the four that the part has: they are drawn on squares of their own.
    assert all_of_them - none == 2 * in_use + len(build_sample["memories"]) + 2
    assert {"weights", "features"} <= set(words)


def test_floorplan_has_a_path_for_each_block():
    svg = plots.floorplan(FLOORPLAN, (26, 32), {"accelerator.array": "#123456", "link": "#abcdef", "absent": "#000000"})
    assert set(texts(svg)) == {"accelerator.array", "link"}
    # Two patches each: the cells and the key.
    assert svg.count("fill: #123456") == svg.count("fill: #abcdef") == 2
