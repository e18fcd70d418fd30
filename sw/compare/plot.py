"""The plot of a comparison: accuracy with its spread, beside what a network costs."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sw.compare.table import Row, counted

__all__ = ["plot"]

_INK, _MUTED, _GRID = "#1f2933", "#5f6c7b", "#e3e7ec"
_REAL, _INTEGER, _BAR = "#2f6db3", "#e08a2e", "#b4bdc8"

_STYLE: Any = {  # the stubs know only literal keys
    "font.family": "sans-serif", "font.size": 9.5, "text.color": _INK, "axes.labelcolor": _MUTED,
    "axes.edgecolor": _GRID, "xtick.color": _MUTED, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "axes.grid": True, "axes.grid.axis": "x",
    "grid.color": _GRID, "axes.axisbelow": True, "ytick.major.size": 0, "xtick.major.size": 0,
    "legend.frameon": False, "legend.fontsize": 9,
    # Text stays text, and the same comparison always gives the same bytes.
    "svg.fonttype": "none", "svg.hashsalt": "comparison",
}


def plot(rows: Sequence[Row], title: str) -> tuple[str, bytes]:
    """SVG and PNG: for each model its methods from the fewest real parameters to the most.

    On the left accuracy, a line from the least to the most of the seeds; on the right real parameters, with the
    number of units that the hardware needs beyond array, thresholds and pools.
    """
    models = list(dict.fromkeys(row.model for row in rows))
    groups = [sorted((row for row in rows if row.model == model), key=lambda row: (row.real_parameters, row.method))
              for model in models]
    with rc_context(_STYLE):
        height = 1.0 + sum(0.8 + 0.36 * len(group) for group in groups)
        figure = Figure(figsize=(9.2, height), layout="constrained")
        grid = figure.subplots(len(groups), 2, squeeze=False, height_ratios=[len(group) for group in groups],
                               width_ratios=[3, 2])
        for model, group, (left, right) in zip(models, groups, grid, strict=True):
            _accuracy(left, group)
            _parameters(right, group)
            left.set_title(model, loc="left", fontsize=10, color=_INK)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=_MUTED)
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=2)
        text, pixels = io.StringIO(), io.BytesIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        figure.savefig(pixels, format="png", dpi=150)
    return text.getvalue(), pixels.getvalue()


def _accuracy(axes: Axes, rows: Sequence[Row]) -> None:
    # Real and integer stand a little apart, or one would hide the other.
    for offset, colour, label, spreads in (
            (-0.13, _REAL, "real", [row.accuracy for row in rows]),
            (0.13, _INTEGER, "integer", [row.integer_accuracy for row in rows])):
        for place, spread in enumerate(spreads):
            if spread is not None:
                axes.plot([100 * spread.least, 100 * spread.most], [place + offset] * 2, color=colour, linewidth=1.6,
                          solid_capstyle="butt")
        known = [(100 * spread.mean, place + offset) for place, spread in enumerate(spreads) if spread is not None]
        axes.plot([x for x, _ in known], [y for _, y in known], "o", color=colour, markersize=5.5,
                  label=f"{label}, mean and spread of the seeds")
    axes.set_yticks(range(len(rows)), [row.method for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("test accuracy, %")


def _parameters(axes: Axes, rows: Sequence[Row]) -> None:
    axes.grid(visible=False)  # it would cross the numbers
    axes.barh(range(len(rows)), [row.real_parameters for row in rows], height=0.5, color=_BAR)
    for place, row in enumerate(rows):
        axes.annotate(f"{row.real_parameters:,}; {counted(len(row.units), 'unit')}", (row.real_parameters, place),
                      xytext=(5, 0), textcoords="offset points", va="center", color=_MUTED, fontsize=9)
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.6 * max(row.real_parameters for row in rows) or 1)
    axes.set_xticks([])
    axes.set_xlabel("real parameters; further hardware units")
