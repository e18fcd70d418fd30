"""What the benchmark measures: a row each."""

from dataclasses import dataclass

__all__ = ["ROWS", "ArrayRow", "DesignRow", "PeerRow"]


@dataclass(frozen=True)
class DesignRow:
    """A whole design: the bitstream of a network on a board, as ``python -m hw.build`` makes it with these options.

    ``None`` leaves the choice to the build. ``limit_seconds`` is for all of it, simulation included.
    """

    name: str
    board: str
    network: str
    rows: int | None = None
    columns: int | None = None
    lanes: int | None = None
    clock_mhz: float | None = None
    limit_seconds: int = 3600

    kind = "design"
    needs = ()


@dataclass(frozen=True)
class ArrayRow:
    """A bare array on a board's part: ours with the part's own popcount (``"own"``) and with the portable one, and
    ``"naive"``, the plain way of writing it. ``clock_mhz`` is what place and route is asked for, and what ours have
    registers within their popcounts for.
    """

    name: str
    board: str
    rows: int
    columns: int
    lanes: int
    sum_width: int
    clock_mhz: float
    limit_seconds: int = 3600

    kind = "array"
    needs = ()
    forms = ("own", "portable", "naive")


@dataclass(frozen=True)
class PeerRow:
    """Fully connected layers of ``sizes`` with fixed random weights and thresholds from da4ml, all of them unrolled, on
    a board's part. Each try of place and route, which is asked for ``clock_mhz``, ends after ``route_seconds``.
    """

    name: str
    board: str
    sizes: tuple[int, ...]
    clock_mhz: float
    route_seconds: int = 900
    limit_seconds: int = 3600

    kind = "peer"
    needs = ("da4ml",)

    @property
    def synapses(self):
        """Synapses of all layers; each computes in every cycle."""
        return sum(before * after for before, after in zip(self.sizes, self.sizes[1:]))


#: Every row by name, in the order of the tables. The MLP's cycles on the UP5K make 100,000 frames/s from 26.2 MHz on.
ROWS = {
    row.name: row
    for row in (
        DesignRow("cnn-up5k", "ice40", "cnn-fashion"),
        DesignRow("resnet20-up5k", "ice40", "resnet20-fashion"),
        DesignRow("mlp-up5k", "ice40", "mlp-fashion", 16, 1, 24, clock_mhz=30.0),
        DesignRow("mlp-hx8k", "ice40-hx8k", "mlp-fashion"),
        DesignRow("cnn-ecp5-25f", "ulx3s-25f", "cnn-fashion"),
        DesignRow("mlp-gw1nr-9", "tang-nano-9k", "mlp-fashion"),
        ArrayRow("array-up5k", "ice40", 12, 3, 16, 12, clock_mhz=24.0),
        ArrayRow("array-hx8k", "ice40-hx8k", 2, 2, 64, 12, clock_mhz=48.0),
        ArrayRow("array-ecp5-25f", "ulx3s-25f", 2, 2, 64, 12, clock_mhz=37.5),
        PeerRow("da4ml-layer-hx8k", "ice40-hx8k", (256, 8), clock_mhz=100.0),
        PeerRow("da4ml-mlp-ecp5-45f", "ulx3s-45f", (64, 64, 64, 10), clock_mhz=90.0),
    )
}
