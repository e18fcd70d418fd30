"""The benchmark's plot."""

from ..report.plots import FREE, INK, ISSUE, MUTED, STALL, render

__all__ = ["overview"]


def overview(results):
    """Two panels as one SVG: operations of each design below its roof, and logic cells a synapse of everything."""
    shown = [result for result in results if "figures" in result]
    designs = [(result["name"], result["figures"]) for result in shown if result["kind"] == "design"]
    cells = _cells(shown)

    def draw(figure):
        above, below = figure.subplots(2, 1, height_ratios=[len(designs) + 1, len(cells) + 1])
        rows = range(len(designs))
        for key, label, colour in (("peak_gops", "peak", FREE), ("sustained_gops", "sustained", ISSUE)):
            above.barh(rows, [figures[key]["estimate"] for _, figures in designs], height=0.62, color=colour,
                       edgecolor=MUTED, linewidth=0.4, label=f"{label}, nextpnr's clock")
        roofs = [(row, figures["roof_gops"]) for row, (_, figures) in enumerate(designs) if figures["roof_gops"]]
        for row, roof in roofs:
            above.plot([roof, roof], [row - 0.4, row + 0.4], color=INK, linewidth=1.6,
                       label="roof" if row == roofs[0][0] else None)
        above.set_xscale("log")
        above.set_xlabel("binary operations, 10^9 a second")
        _name(above, [name for name, _ in designs])
        above.legend(loc="lower right")
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
    axes.invert_yaxis()
