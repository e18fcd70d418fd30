"""The exceptions that a user's input can cause in the compiler.

Every message names the layer or option, what was given, what is legal, and what to do.
"""

__all__ = ["ArtifactError", "CompileError", "DataError", "ExportError", "FitError", "UnsupportedLayerError"]


class CompileError(Exception):
    """A network, option or file that Popforge cannot use."""


class UnsupportedLayerError(CompileError):
    """One or more layers that the target cannot run; ``reasons`` lists them all.

    ``reasons`` is a sequence of strings, each naming its layer and a remedy.
    """

    def __init__(self, reasons: list[str] | tuple[str, ...]):
        self.reasons = tuple(reasons)
        lines = "\n".join(f"  - {reason}" for reason in self.reasons)
        super().__init__(f"{len(self.reasons)} part(s) of the network are not supported:\n{lines}")


class ExportError(CompileError):
    """A PyTorch module that has no integer equivalent."""


class FitError(CompileError):
    """A network or array that does not fit the part; says what is needed and what is there."""


class ArtifactError(CompileError):
    """A file that is damaged, of another schema version, or whose hash does not match."""


class DataError(CompileError):
    """A data set that is missing or malformed; says how to get it."""
