"""Numbered steps with their times, so that a build of minutes shows where it is."""

import time
from contextlib import contextmanager

__all__ = ["Progress"]


class Progress:
    """Prints ``[k/n] name ... seconds`` to ``stream`` for each of ``names``, and keeps the seconds.

    ``stream=None`` prints nothing. Details are printed only if ``verbose``.
    """

    def __init__(self, names, stream, *, verbose=False):
        self._names = list(names)
        self._stream = stream
        self._verbose = verbose
        self._open = False
        #: Seconds of each step that has ended, by name and in order.
        self.seconds = {}

    @contextmanager
    def step(self, name):
        """Time a step; the steps come in the order given."""
        number = self._names.index(name) + 1
        self._print(f"[{number}/{len(self._names)}] {name} ...", end="")
        self._open = True
        start = time.monotonic()
        try:
            yield
        except BaseException:
            if self._open:
                self._print("")
            raise
        self.seconds[name] = round(time.monotonic() - start, 2)
        self._print(f" {self.seconds[name]:.1f} s" if self._open else f"      {name}: {self.seconds[name]:.1f} s")
        self._open = False

    def note(self, text):
        """Print a line that belongs to the step under way."""
        if self._open:
            self._print("")
            self._open = False
        self._print(f"      {text}")

    def detail(self, text):
        """Print a line for those who asked to hear more."""
        if self._verbose:
            self.note(text)

    def _print(self, text, end="\n"):
        if self._stream is not None:
            print(text, end=end, file=self._stream, flush=True)
