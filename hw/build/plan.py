"""What is settled before any tool runs: board, clock, network, array and program."""

from dataclasses import dataclass, replace
from pathlib import Path

from sw import zoo
from sw.compile import compile_graph
from sw.pipeline import compile_pipeline

from ..boards import find_board
from ..fit import choose_engine
from ..fit_pipeline import choose_pipeline
from ..pll import achieved_mhz
from ..popcount_stages import with_popcount_stages
from ..report.data import check_report

__all__ = [
    "OptionError", "Options", "Plan", "board_and_clock", "load_network", "make_plan", "output_folder", "plan_report",
]


class OptionError(ValueError):
    """An option that the build cannot use."""


@dataclass(frozen=True)
class Options:
    """What to build.

    ``network`` is the name of a network of the zoo or a folder with one; ``None`` is the zoo's default. ``rows``,
    ``columns`` and ``lanes`` fix the array as far as they are given, ``drain`` and ``window_buffers`` the rest of it if
    they all are. ``engines`` of them in a row share the layers; all of each is chosen then. ``popcount_stages`` are as
    many as the clock needs unless given. ``clock_mhz`` is the board's unless
    given, ``seed`` place and route's first, 1 unless given, ``out`` a folder named after board and network.
    """

    board: str = "ice40"
    network: str | None = None
    rows: int | None = None
    columns: int | None = None
    lanes: int | None = None
    drain: int | None = None
    window_buffers: int | None = None
    popcount_stages: int | None = None
    engines: int = 1
    clock_mhz: float | None = None
    seed: int | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Plan:
    """A ``Board``, its clock in MHz, a ``sw.zoo.ZooEntry`` and its ``Program`` or ``Pipeline``."""

    board: object
    clock_mhz: float
    entry: object
    program: object


def board_and_clock(options):
    """Return the ``Board`` and the clock in MHz that its PLL makes. Raises ``OptionError``."""
    try:
        board = find_board(options.board)
        clock_mhz = achieved_mhz(
            board.oscillator_mhz, board.clock_mhz if options.clock_mhz is None else options.clock_mhz,
            board.part)
        board.uart_divisor(clock_mhz)
    except ValueError as error:
        raise OptionError(str(error)) from error
    return board, clock_mhz


def load_network(options, progress):
    """Return the ``sw.zoo.ZooEntry`` of the options' network. Raises ``sw.errors.CompileError``."""
    with progress.step("load network"):
        return zoo.load(zoo.default() if options.network is None else options.network)


def output_folder(options, board, entry):
    """Return the output folder of a network on a board."""
    return options.out or Path("build") / f"{board.name}-{entry.graph.name}"


def make_plan(options, progress):
    """Return the ``Plan``. Raises ``OptionError`` and ``sw.errors.CompileError`` for what cannot be built."""
    board, clock_mhz = board_and_clock(options)
    _require_chosen(options)
    entry = load_network(options, progress)
    if options.engines != 1:
        return Plan(board, clock_mhz, entry, _make_pipeline(options, board, clock_mhz, entry.graph, progress))
    with progress.step("choose array"):
        engine = choose_engine(entry.graph, board, rows=options.rows, columns=options.columns, lanes=options.lanes,
                               drain=options.drain, window_buffers=options.window_buffers)
        if options.popcount_stages is None:
            engine = with_popcount_stages(engine, board.part, clock_mhz)
        else:
            engine = replace(engine, popcount_stages=options.popcount_stages)
    with progress.step("compile program"):
        program = compile_graph(entry.graph, engine, shared_store=board.flash is not None)
    return Plan(board, clock_mhz, entry, program)


def _require_chosen(options):
    """Raise ``OptionError`` for several engines and a given array."""
    given = [name for name in ("rows", "columns", "lanes", "drain", "window_buffers")
             if getattr(options, name) is not None]
    if options.engines != 1 and given:
        raise OptionError(
            f"--{given[0].replace('_', '-')} is for one array, and --engines {options.engines} chooses that of each "
            f"engine; give one of them")


def _make_pipeline(options, board, clock_mhz, graph, progress):
    with progress.step("choose array"):
        engines, cuts = choose_pipeline(graph, board, options.engines)
        engines = [
            with_popcount_stages(engine, board.part, clock_mhz) if options.popcount_stages is None
            else replace(engine, popcount_stages=options.popcount_stages) for engine in engines]
    with progress.step("compile program"):
        return compile_pipeline(graph, engines, cuts)


def plan_report(plan, progress):
    """Return what a check reports of a plan."""
    return check_report(
        plan.program, plan.board, clock_mhz=plan.clock_mhz, accuracy=plan.entry.accuracy,
        steps=dict(progress.seconds))
