"""The report's plots: each takes part of a report and returns SVG to be set inside the page."""

import io

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import EngFormatter

__all__ = [
    "BLOCK_COLOURS", "GAP", "INK", "ISSUE", "MUTED", "STALL", "cycles_per_layer", "floorplan", "memory_map", "render",
    "render_png", "utilisation",
]

INK, MUTED, GRID = "#1f2933", "#5f6c7b", "#e3e7ec"
ISSUE, STALL, GAP, FREE = "#2f6db3", "#e08a2e", "#b4bdc8", "#eef1f4"

#: The first are distinct for readers with any colour vision; a design has no more blocks than there are colours.
BLOCK_COLOURS = (
    "#2f6db3", "#e08a2e", "#3d9970", "#b5467c", "#7a6fd0", "#c9a227", "#53b6c9", "#a0522d", "#7f8c99", "#d1605e",
    "#9bc1e6", "#f2c48d", "#9ccfb4", "#dba3bf", "#1f3d66", "#5c4a1f",
)

STYLE = {
    "font.family": "sans-serif", "font.size": 9.5, "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": GRID,
    "xtick.color": MUTED, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.spines.left": False, "axes.grid": True, "axes.grid.axis": "x", "grid.color": GRID, "axes.axisbelow": True,
    "ytick.major.size": 0, "xtick.major.size": 0, "legend.frameon": False, "legend.fontsize": 9,
    # Text stays text: it is searchable and takes the page's font.
    "svg.fonttype": "none",
}


def render(width, height, draw, *, name):
    """Call ``draw(figure)`` for a figure of ``width`` x ``height`` inches and return it as an ``<svg>`` element.

    ``name`` is any word that no other plot of the page has.
    """
    # The same report always gives the same bytes: identifiers come from the plot's name, and no date is written.
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg"):]


def render_png(width, height, draw):
    """The same as a PNG file's contents."""
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", dpi=150)
    return pixels.getvalue()


def cycles_per_layer(layers):
    """Stacked bars of each layer's cycles by cause, against its ideal; ``layers`` as in the report."""

    def draw(figure):
        axes = figure.add_subplot()
        rows = range(len(layers))
        left = [0] * len(layers)
        for key, label, colour in (
            ("issue_cycles", "array busy", ISSUE), ("stall_cycles", "stalled", STALL),
            ("gap_cycles", "between layers", GAP),
        ):
            values = [layer[key] for layer in layers]
            axes.barh(rows, values, left=left, height=0.62, color=colour, label=label)
            left = [start + value for start, value in zip(left, values, strict=True)]
        for row, layer in enumerate(layers):
            axes.plot([layer["ideal_cycles"]] * 2, [row - 0.4, row + 0.4], color=INK, linewidth=1.6,
                      label="ideal (MACs / synapses per cycle)" if row == 0 else None)
            # Behind the ideal's mark if that lies just behind the bar.
            end = layer["ideal_cycles"] if 0 <= layer["ideal_cycles"] - left[row] < 0.1 * max(left) else left[row]
            axes.annotate(f"{layer['cycles']:,}", (end, row), xytext=(5, 0), textcoords="offset points",
                          va="center", color=MUTED, fontsize=9)
        axes.set_yticks(rows, [layer["name"] for layer in layers])
        axes.set_xlabel("clock cycles a frame")
        axes.set_xlim(0, 1.1 * max(*left, *(layer["ideal_cycles"] for layer in layers)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.invert_yaxis()
        figure.legend(loc="outside upper left", ncols=4)

    return render(8.6, 1.0 + 0.36 * len(layers), draw, name="cycles")


def utilisation(cells):
    """Bars of the part's cells in use; ``cells`` is ``[(kind, used, available, estimated or None)]``."""

    def draw(figure):
        axes = figure.add_subplot()
        rows = range(len(cells))
        shares = [100 * used / available for _, used, available, _ in cells]
        axes.barh(rows, [100] * len(cells), height=0.58, color=FREE)
        axes.barh(rows, shares, height=0.58, color=ISSUE, label="used")
        for row, (_, used, available, estimated) in enumerate(cells):
            if estimated is not None:
                share = 100 * estimated / available
                axes.plot([share, share], [row - 0.38, row + 0.38], color=INK, linewidth=1.6,
                          label="estimated before synthesis" if row == 0 else None)
            axes.annotate(f"{used:,} of {available:,}", (100, row), xytext=(8, 0), textcoords="offset points",
                          va="center", color=MUTED, fontsize=9)
        axes.set_yticks(rows, [kind for kind, *_ in cells])
        axes.set_xlim(0, 118)
        axes.set_xticks(range(0, 101, 20), [f"{share} %" for share in range(0, 101, 20)])
        axes.invert_yaxis()
        figure.legend(loc="outside upper left", ncols=2)

    return render(8.6, 0.8 + 0.36 * len(cells), draw, name="utilisation")


def memory_map(memories, available, *, block_ram_bits=4096):
    """One square for each RAM of the part, in the colour of the memory that has it, filled as far as it holds data.

    ``memories`` as in the report; ``available`` maps ``"block_rams"`` and ``"large_rams"`` to what the part has.
    """
    per_row, gap = 16, 0.16
    titles = {
        "block_rams": f"block RAM, {block_ram_bits:,} bits each", "large_rams": "large RAM, 262,144 bits each",
    }
    panels = [(kind, title) for kind, title in titles.items() if available.get(kind)]
    heights = [-(-available[kind] // per_row) for kind, _ in panels]

    def draw(figure):
        grids = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        colours = {}
        for (kind, title), height, (axes,) in zip(panels, heights, grids, strict=True):
            owners = []
            for memory in memories:
                colours.setdefault(memory["name"], BLOCK_COLOURS[len(colours) % len(BLOCK_COLOURS)])
                fill = memory["bits_used"] / memory["bits_allocated"] if memory["bits_allocated"] else 0
                owners += [(memory["name"], fill)] * memory[kind]
            for index in range(max(available[kind], len(owners))):
                x, y = index % per_row, index // per_row
                axes.add_patch(Rectangle((x, y), 1 - gap, 1 - gap, color=FREE, linewidth=0))
                if index < len(owners):
                    name, fill = owners[index]
                    size = (1 - gap) * fill
                    axes.add_patch(Rectangle((x, y), 1 - gap, 1 - gap, color=colours[name], alpha=0.28, linewidth=0))
                    bottom = y + 1 - gap - size
                    axes.add_patch(Rectangle((x, bottom), 1 - gap, size, color=colours[name], linewidth=0))
            axes.set_title(title, loc="left", fontsize=9, color=MUTED)
            axes.set_xlim(0, per_row)
            axes.set_ylim(height, 0)
            axes.set_aspect("equal", anchor="W")
            axes.set_axis_off()
        used = [memory["name"] for memory in memories if memory["block_rams"] + memory["large_rams"]]
        handles = [Rectangle((0, 0), 1, 1, color=colours[name]) for name in used]
        figure.legend(handles, used, loc="outside right center")

    return render(8.6, 0.3 + 0.48 * sum(heights) + 0.3 * len(panels), draw, name="memory")


#: Width and height, in tiles, of the cells that are neither block RAM nor a logic cell's eighth of a tile.
SITE_SIZES = {"large RAM": (1, 0.5), "multiplier": (1, 1), "PLL": (1, 1), "pin": (1, 0.5)}


def floorplan(cells, tiles, colours, *, block_ram=(1, 2), grid=(2, 4)):
    """The part as nextpnr filled it, tile (0, 0) at the lower left.

    ``cells`` as ``read_floorplan`` gives them, ``tiles`` the size of the grid (x, y), ``colours`` maps blocks to
    colours in the order of the legend. ``block_ram`` is the size (x, y) of a block RAM in tiles, ``grid`` the columns
    and rows of logic cells in a tile.
    """
    sizes = SITE_SIZES | {"block RAM": block_ram}

    def draw(figure):
        axes = figure.add_subplot()
        axes.add_patch(Rectangle((-0.5, -0.5), tiles[0] + 1, tiles[1] + 1, facecolor=FREE, edgecolor=GRID))
        handles = []
        for block, colour in colours.items():
            outline = [_site(cell, sizes, grid) for cell in cells if cell.block == block]
            if not outline:
                continue
            # One path a block keeps the page small: a design has thousands of cells.
            axes.add_patch(PathPatch(Path.make_compound_path(*outline), facecolor=colour, linewidth=0))
            handles.append(Rectangle((0, 0), 1, 1, color=colour, label=block))
        axes.set_xlim(-0.6, tiles[0] + 0.6)
        axes.set_ylim(-0.6, tiles[1] + 0.6)
        axes.set_aspect("equal")
        axes.set_axis_off()
        figure.legend(handles=handles, loc="outside right upper")

    return render(8.6, 6.4, draw, name="floorplan")


def _site(cell, sizes, grid):
    """The outline of a cell's site; a tile's logic cells stand in columns, one above the other."""
    if cell.kind == "logic cell":
        width, height = 1 / grid[0], 1 / grid[1]
        x, y = cell.x + width * (cell.slot // grid[1]), cell.y + height * (cell.slot % grid[1])
    else:
        width, height = sizes[cell.kind]
        # Two pins, and two large RAMs, share a tile.
        x, y = cell.x, cell.y + (height * (cell.slot % 2) if height == 0.5 else 0)
    inset = 0.04
    left, right, bottom, top = x + inset, x + width - inset, y + inset, y + height - inset
    return Path([(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)], closed=True)
