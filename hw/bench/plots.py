"""The benchmark's plot."""

from math import ceil, floor, log10

from matplotlib.ticker import NullFormatter, StrMethodFormatter

from ..report.plots import INK, ISSUE, MUTED, STALL, render

__all__ = ["overview"]

MARKS = {
    "sustained": {"color": ISSUE, "markersize": 8},
    "peak": {"color": ISSUE, "markersize": 7, "fillstyle": "none"},
    "roof": {"color": INK, "markersize": 16, "markeredgewidth": 1.6},
}


def overview(results):
    """Two panels as one SVG: operations of each design below its roof, and logic cells a synapse of everything."""
    shown = [result for result in results if "figures" in result]
    designs = [(result["name"], result["figures"]) for result in shown if result["kind"] == "design"]
    cells = _cells(shown)

    def draw(figure):
        above, below = figure.subplots(2, 1, height_ratios=[len(designs) + 1, len(cells) + 1])
        seen = []
        # Points, not bars: the scale, which is logarithmic, has no zero.
        for label, marker, value in (
            ("sustained", "o", lambda figures: figures["sustained_gops"]["estimate"]),
            ("peak", "D", lambda figures: figures["peak_gops"]["estimate"]),
            ("roof", "|", lambda figures: figures["roof_gops"]),
        ):
            points = [(value(figures), row) for row, (_, figures) in enumerate(designs) if value(figures) is not None]
            above.plot([x for x, _ in points], [row for _, row in points], marker, label=label, **MARKS[label])
            seen += [x for x, _ in points]
        above.set_xscale("log")
        if seen:  # whole decades, whose ends have labels
            above.set_xlim(10 ** floor(log10(min(seen))), 10 ** ceil(log10(max(seen))))
        above.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        above.xaxis.set_minor_formatter(NullFormatter())
        above.set_xlabel("binary operations, 10^9 a second, at nextpnr's clock")
        _name(above, [name for name, _ in designs])
        figure.legend(loc="outside upper left", ncols=3)
        for row, (_, value, colour) in enumerate(cells):
            below.barh(row, value, height=0.62, color=colour)
            below.annotate(f"{value:.2f}", (value, row), xytext=(5, 0), textcoords="offset points", va="center",
                           color=MUTED, fontsize=9)
        below.set_xlabel("logic cells a synapse and cycle")
        _name(below, [name for name, _, _ in cells])

    return render(8.6, 2.0 + 0.32 * (len(designs) + len(cells)), draw, name="performance")


def _cells(shown):
    """(name, logic cells a synapse, colour) of every design, array and peer."""
    bars = []
    for result in shown:
        name, figures = result["name"], result["figures"]
        if result["kind"] == "array":
            bars += [(f"{name}, {form}", found["cells_per_synapse"], STALL) for form, found in figures.items()]
        else:
            bars.append((name, figures["cells_per_synapse"], ISSUE if result["kind"] == "design" else MUTED))
    return bars


def _name(axes, names):
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
