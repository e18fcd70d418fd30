"""The benchmark's results as tables of text, for the terminal and for ``docs/performance.md``."""

from dataclasses import dataclass

from .rows import ROWS

__all__ = ["Table", "make_tables", "versions_of"]

@dataclass(frozen=True)
class Table:
    """A table: ``rows`` are tuples of text, as many as ``header`` has; ``note`` says how to read it."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self):
        """As Markdown, without the title."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def text(self):
        """For a terminal, with the title, columns aligned."""
        lines = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        body = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                for line in lines)
        return "\n".join([self.title, *(f"  {line}" for line in body)])


def make_tables(results):
    """Return the tables of those results of ``hw.bench.runner.measure_rows`` that have figures."""
    kinds = {kind: [(result["name"], result["values"], result["figures"]) for result in results
                    if result["kind"] == kind and "figures" in result] for kind in ("design", "array", "peer")}
    makers = {"design": (_designs, _operations, _roofline, _cycles), "array": (_arrays,), "peer": (_peers,)}
    return [make(kinds[kind]) for kind, many in makers.items() for make in many if kinds[kind]]


def versions_of(results):
    """Version of each package that had a part in the results, by name."""
    found = {name: version for result in results for name, version in result["versions"].items() if version}
    return dict(sorted(found.items()))


def _share(value):
    return "-" if value is None else f"{100 * value:.1f} %"


def _number(value, digits=1):
    return "-" if value is None else f"{value:,.{digits}f}"


def _both(pair, digits=1):
    return " / ".join(_number(pair[key], digits) for key in ("used", "estimate"))


def _shape(array):
    return f"{array['rows']} x {array['columns']} x {array['lanes']}"


def _designs(found):
    rows = []
    for name, values, figures in found:
        used, available = values["cells"]["used"], values["cells"]["available"]
        clocks = {"used": values["clock_mhz"], "estimate": values["clock_mhz_estimate"]}
        rows.append((
            name, ROWS[name].network, values["part"], _shape(values["array"]), f"{values['synapses']:,}",
            f"{used['logic_cells']:,} of {available['logic_cells']:,}", _number(figures["cells_per_synapse"], 2),
            f"{used['block_rams']} of {available['block_rams']}", _both(clocks),
            _both(figures["frames_per_second"], 0)))
    return Table(
        "Designs",
        "Whole designs, to a packed bitstream: serial link, clock, memories' logic and all. Logic cells are LUTs of "
        "four inputs with what is packed beside them (ECP5: half a carry of two bits). Clocks and frames/s: as "
        "constrained, and as nextpnr estimates the clock. Frames/s are the clock over the schedule's cycles; the "
        "margin that nextpnr's estimate needs on Gowin is taken off there and below.",
        ("design", "network", "part", "rows x columns x lanes", "synapses a cycle", "logic cells", "cells a synapse",
         "block RAMs", "MHz", "frames/s"), tuple(rows))


def _operations(found):
    return Table(
        "Operations",
        "Binary operations, two a synapse, in 10^9 a second (GOPS), at both clocks. Peak: every synapse busy in every "
        "cycle. Sustained: the network's binary multiply-accumulates x 2 x frames/s, all layers, stalls and gaps "
        "included; as a share of the peak, and that of the 3 x 3 layers alone (without the one that reads the image). "
        "Taps in the padding count as multiply-accumulates and take no cycle here.",
        ("design", "peak GOPS", "sustained GOPS", "sustained", "3 x 3 layers"),
        tuple((name, _both(figures["peak_gops"]), _both(figures["sustained_gops"]), _share(figures["sustained"]),
               _share(figures["sustained_3x3"])) for name, _, figures in found))


def _roofline(found):
    return Table(
        "Roofline",
        "What the part could do: 80 % of its logic cells as the best array measured alone on it "
        "(`hw/bench/roofline.py`), at that array's clock, no more synapses than block RAM ports bring weights for. "
        "Logic, ports and clock: the design's share of each; the ports' share is that of the weight word alone. "
        "Reached: sustained operations at nextpnr's clock over the roof.",
        ("design", "logic", "memory ports", "clock", "roof GOPS", "reached"),
        tuple((name, _share(figures["share_of_logic"]), _share(figures["share_of_ports"]),
               _share(figures["share_of_clock"]), _number(figures["roof_gops"]), _share(figures["share_of_roof"]))
              for name, _, figures in found))


def _cycles(found):
    rows = []
    for name, values, figures in found:
        counted = values["counted"]
        if "reason" in counted:
            seen = ("-", "-", f"not simulated: {counted['reason'].splitlines()[0]}")
        else:
            frames = sorted(set(counted["cycles_per_frame"]))
            equal = "equal" if figures["counted_as_scheduled"] else "NOT EQUAL"
            seen = (", ".join(f"{cycles:,}" for cycles in frames), f"{counted['latency_cycles']:,}",
                    f"{equal}, {counted['frames']} frames")
        rows.append((name, f"{values['cycles_per_frame']:,}", seen[0], f"{values['latency_cycles']:,}", *seen[1:]))
    return Table(
        "Cycles",
        "Cycles a frame of the schedule, and counted in simulation (`python -m sim.cycles`, Verilator): between "
        "results of test images that follow each other without a gap, whose scores are the reference's; likewise the "
        "first one's latency from its last byte to its result's.",
        ("design", "cycles a frame", "counted", "latency", "counted", "verdict"), tuple(rows))


def _arrays(found):
    rows = []
    for name, values, figures in found:
        for form in ROWS[name].forms:
            cells = values["forms"][form]
            title = f"own: {values['popcount']}" if form == "own" else form
            rows.append((
                name, values["part"], _shape(vars(ROWS[name])), title,
                str(values["stages"]) if form != "naive" else "0", f"{cells['logic_cells']:,}",
                _number(figures[form]["cells_per_synapse"], 2), _share(figures[form]["of_naive"]),
                _number(cells["clock_mhz"])))
    return Table(
        "Bare arrays",
        "The processing elements alone, in a harness of two shift registers whose cells are taken off: with the "
        "popcounts that a build takes for this part, with portable ones, and naive: the plain way, in which a beat's "
        "matches are added by `+` in one expression and half the lanes taken off. All have the same ports and sums; "
        "registers are those within a popcount.",
        ("array", "part", "rows x columns x lanes", "popcounts", "registers", "logic cells", "cells a synapse",
         "of the naive", "MHz, nextpnr"), tuple(rows))


def _peers(found):
    rows = tuple((
        name, values["part"], "-".join(map(str, ROWS[name].sizes)), f"{values['synapses']:,}",
        f"{values['logic_cells']:,} of {values['logic_cells_available']:,}",
        _number(figures["cells_per_synapse"], 2), _number(values["clock_mhz"]), _number(figures["peak_gops"]),
        _number(figures["frames_per_second"], 0)) for name, values, figures in found)
    return Table(
        "Peers",
        "da4ml with its default options and a register behind every third adder: fully connected layers with random "
        "weights and thresholds, which are fixed in its logic, all layers at once, a vector a cycle. The same yosys, "
        "nextpnr, seeds and harness as the bare arrays, the harness included. Vectors/s count one in every cycle, "
        "which needs all its bits at once.",
        ("peer", "part", "layers", "synapses a cycle", "logic cells", "cells a synapse", "MHz, nextpnr", "GOPS",
         "vectors/s"), rows)
