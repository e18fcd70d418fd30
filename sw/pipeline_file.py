"""Files of a design: a program's, or those of all programs of a pipeline, each in a folder of its own."""

import json
from pathlib import Path

from sw.errors import ArtifactError
from sw.files import write_atomic
from sw.pipeline import Pipeline
from sw.program import Program, load_program, save_program

__all__ = ["HEADER", "SCHEMA", "load_design", "save_design", "stage_folder"]

SCHEMA = 1
#: Says that a folder holds a pipeline, and of how many engines.
HEADER = "pipeline.json"


def stage_folder(index: int) -> str:
    """The name of the folder of engine ``index``, from 0."""
    return f"engine{index + 1}"


def save_design(design: Program | Pipeline, folder: Path | str) -> None:
    """Write a program as ``save_program`` does, or a pipeline's programs to folders in ``folder``."""
    folder = Path(folder)
    if isinstance(design, Program):
        save_program(design, folder)
        return
    for index, program in enumerate(design.programs):
        save_program(program, folder / stage_folder(index))
    header = {"schema": SCHEMA, "network": design.network, "engines": len(design.programs)}
    write_atomic(folder / HEADER, json.dumps(header, indent=1) + "\n")


def load_design(folder: Path | str) -> Program | Pipeline:
    """Read what ``save_design`` wrote.

    Raises ``ArtifactError`` if a file is missing or damaged, or the programs do not belong together.
    """
    folder = Path(folder)
    if not (folder / HEADER).exists():
        return load_program(folder)
    remedy = "compile the network again"
    try:
        header = json.loads((folder / HEADER).read_text())
        schema, engines = header["schema"], int(header["engines"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"pipeline {folder}: {HEADER} cannot be read ({error}); {remedy}") from error
    if schema != SCHEMA:
        raise ArtifactError(f"pipeline {folder}: schema {schema!r}, this version reads {SCHEMA}; {remedy}")
    programs = tuple(load_program(folder / stage_folder(index)) for index in range(engines))
    sources, targets = [program.source for program in programs], [program.target for program in programs]
    if [None, *targets] != [*sources, None]:
        raise ArtifactError(f"pipeline {folder}: its programs are not for engines that follow each other; {remedy}")
    return Pipeline(programs)
