"""What a design needs of a part before synthesis, be it one engine's or that of engines in a row."""

from dataclasses import replace

from sw.pipeline import Pipeline

from .estimate import Resources, estimate, memory_plan, planned_needs
from .memory_plan import MemoryPlan

__all__ = ["ONCE", "design_needs", "design_resources", "link_cells", "memory_plans", "programs_of"]

#: Logic cells that ``hw.estimate`` counts for each program and a design has only once: the serial link (272 LUTs on the
#: iCE40), the unit that sends scores, reset and lights.
ONCE = 450


def programs_of(design):
    """Return the programs of a ``Program`` or ``Pipeline``, first engine's first."""
    return design.programs if isinstance(design, Pipeline) else (design,)


def memory_plans(design, part):
    """Return the ``MemoryPlan`` of each program: large RAMs go to the engines in turn, as long as there are any."""
    plans, left = [], part.large_rams
    for program in programs_of(design):
        if part.large_rams and not left:
            plan = MemoryPlan(large_banks=0)
        else:
            plan = memory_plan(program, replace(part, large_rams=left))
        left -= sum(need.large_rams for need in planned_needs(program, part, plan))
        plans.append(plan)
    return tuple(plans)


def design_needs(design, part):
    """Return the ``MemoryNeed`` of each memory; those of several engines have the engine's number before the name."""
    programs = programs_of(design)
    plans = zip(programs, memory_plans(design, part), strict=True)
    return tuple(
        need if len(programs) == 1 else replace(need, name=f"{index} {need.name}")
        for index, (program, plan) in enumerate(plans, start=1) for need in planned_needs(program, part, plan))


def link_cells(link):
    """Return about the logic cells of both ends of a ``MapLink``, beside what ``hw.estimate`` counts for an engine.

    On the iCE40 a sender of 2 columns of 24 lanes takes 59, a receiver with 3 columns of 24 lanes 263.
    """
    return 100 + link.columns * link.lanes + 2 * link.to_columns * link.to_lanes


def design_resources(design, part):
    """Return the ``Resources`` of a design with its serial link on ``part``."""
    needs, programs = design_needs(design, part), programs_of(design)
    cells = sum(estimate(program, part).logic_cells for program in programs)
    cells += sum(link_cells(program.target) - ONCE for program in programs if program.target is not None)
    return Resources(cells, sum(need.block_rams for need in needs), sum(need.large_rams for need in needs))
