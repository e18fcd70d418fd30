"""``python -m sw.train``: train a network and write its checkpoint."""

import argparse
import dataclasses
import sys

import torch

from sw.command import run_command
from sw.errors import CompileError
from sw.train.options import chosen_recipe, listing, parser
from sw.train.run import Task, find_device, run

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for input it cannot use, 130 when interrupted."""
    return run_command("sw.train", lambda: _main(arguments),
                       "the same command with --resume goes on behind the last whole epoch, if there was one")


def _main(arguments: list[str] | None) -> int:
    given = parser().parse_args(arguments)
    if given.list:
        print(listing())
    else:
        run(_task(given), progress=sys.stderr.isatty())
    return 0


def _task(given: argparse.Namespace) -> Task:
    recipe = chosen_recipe(given)
    if given.out is None:
        raise CompileError("--out must name the checkpoint to write, a file ending in .safetensors")
    if given.threads is not None:
        if given.threads < 1:
            raise CompileError(f"--threads must be at least 1, not {given.threads}")
        torch.set_num_threads(given.threads)
    device = find_device(given.device)
    if device == "cuda" and given.bfloat16 is None:
        recipe = dataclasses.replace(recipe, bfloat16=True)
    names = [field.name for field in dataclasses.fields(Task) if field.name not in ("recipe", "device")]
    return Task(recipe=recipe, device=device, **{name: getattr(given, name) for name in names})


if __name__ == "__main__":
    sys.exit(main())
