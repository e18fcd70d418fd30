"""The plot of a search: logic cells against frames/s, estimated and placed."""

from matplotlib.ticker import EngFormatter

from ..report.plots import GAP, INK, ISSUE, MUTED, STALL, render, render_png
from .candidates import front

__all__ = ["pareto_plot"]

SIZE = 8.6, 5.2


def pareto_plot(result):
    """The plot of ``make_result``'s document as (SVG, PNG): candidates with their front, and the builds.

    A line leads from a build's estimate to what place and route made of it.
    """

    def draw(figure):
        axes = figure.add_subplot()
        axes.grid(visible=True, axis="both")
        for key, style in (("candidates", {"marker": ".", "linestyle": "", "color": GAP, "label": "estimated"}),
                           ("front", {"marker": "", "color": ISSUE, "linewidth": 1.2, "drawstyle": "steps-post",
                                      "label": "front of the estimates"})):
            axes.plot([each["cells_estimated"]["logic_cells"] for each in result[key]],
                      [each["frames_per_second"] for each in result[key]], **style)
        placed = [build for build in result["builds"] if build["meets_clock"]]
        for build in placed:
            _estimate_line(axes, build)
        axes.plot([build["cells"]["logic_cells"] for build in placed],
                  [build["frames_per_second"] for build in placed], "o", color=STALL, label="placed and routed")
        reached = front([(build["cells"]["logic_cells"], build["frames_per_second"]) for build in placed])
        axes.plot(*zip(*reached, strict=True) if reached else ([], []), color=STALL, linewidth=1.2,
                  drawstyle="steps-post", label="front of the builds")
        best = result["best"]
        if best is not None:
            array = best["array"]
            axes.annotate(f"{array['rows']} x {array['columns']} x {array['lanes']}, {best['clock_mhz']:g} MHz",
                          (best["cells"]["logic_cells"], best["frames_per_second"]), xytext=(-8, 8),
                          textcoords="offset points", ha="right", color=INK, fontsize=9)
        axes.axvline(result["cells_available"]["logic_cells"], color=MUTED, linewidth=1, linestyle=":",
                     label=f"logic cells of the {result['part']}")
        if result["frames_per_second_wanted"]:
            axes.axhline(result["frames_per_second_wanted"], color=MUTED, linewidth=1, linestyle="--", label="wanted")
        axes.set_xlabel("logic cells")
        axes.set_ylabel(f"frames/s, estimates at {result['clock_mhz']:g} MHz")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.set_xlim(left=0)
        figure.legend(loc="outside upper left", ncols=3)

    return render(*SIZE, draw, name="front"), render_png(*SIZE, draw)


def _estimate_line(axes, build):
    if build["cells_estimated"]:
        axes.plot([build["cells_estimated"]["logic_cells"], build["cells"]["logic_cells"]],
                  [build["frames_per_second"]] * 2, color=STALL, linewidth=1)
