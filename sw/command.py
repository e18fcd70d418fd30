"""What all command lines of ``sw`` share: one line for what is wrong, and the exit code."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from sw.errors import CompileError

__all__ = ["Parser", "run_command"]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ``CompileError``."""

    def error(self, message: str) -> NoReturn:
        """See the class."""
        raise CompileError(f"{message}; --help shows what there is")


def run_command(name: str, work: Callable[[], int], stopped: str) -> int:
    """The exit code of ``work``; 2 for input that it cannot use, 130 when interrupted, each with a line on stderr.

    ``name`` begins the line, and ``stopped`` is what it says of an interruption.
    """
    try:
        return work()
    except CompileError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{name}: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: stopped; {stopped}", file=sys.stderr)
        return 130
