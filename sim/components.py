"""Components of the engine side by side in one design, so that one Verilator model serves all their benches."""

from amaranth import Module
from amaranth.lib import wiring

from hw.array import Array
from hw.features import FeatureMemory
from hw.link import UartLink
from hw.pe import ProcessingElement
from hw.popcount import Popcount
from hw.results import ResultSender
from hw.stream import StreamBuffer
from hw.threshold import Threshold
from hw.vector_input import VectorInput
from hw.window_input import WindowInput

__all__ = ["LINK", "WINDOW", "Components", "components"]

#: Parameters that the benches share with the design.
WINDOW = {"height": 5, "width": 6, "channels": 2, "bits": 3, "kernel": 3, "stride": 1, "padding": 1, "pool": 1,
          "out_height": 5, "out_width": 6, "columns": 3, "lanes": 16}
LINK = {"payload_bytes": 6, "result_bytes": 3, "divisor": 4, "timeout": 400}


def components():
    """The components by name, each as small as shows all it does."""
    return {
        "popcount": Popcount(lanes=63),
        "popcount_ice40": Popcount(lanes=63, offset=-32, implementation="ice40"),
        "popcount_ecp5": Popcount(lanes=63, offset=-32, implementation="ecp5"),
        "pe": ProcessingElement(lanes=16, sum_width=12),
        "threshold": Threshold(sum_width=12, threshold_width=13),
        "array": Array(rows=2, columns=3, lanes=8, sum_width=10),
        "features": FeatureMemory(columns=3, lanes=8, depth=64, pitch_width=2, strides=(1, 2), large_banks=3),
        "window": WindowInput(**WINDOW),
        "vector": VectorInput(size=45, columns=1, lanes=16),
        "results": ResultSender(classes=4, score_width=12),
        "buffer": StreamBuffer(8),
        "link": UartLink(**LINK),
    }


class Components(wiring.Component):
    """All of ``components()``; the members of each are its ports, with the component's name before them."""

    def __init__(self):
        self._parts = components()
        super().__init__({
            f"{name}_{member}": description
            for name, part in self._parts.items() for member, description in part.signature.members.items()
        })

    def elaborate(self, platform):
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
            for member, description in part.signature.members.items():
                own = getattr(self, f"{name}_{member}")
                inner = getattr(part, member)
                if description.is_port:
                    inward = description.flow is wiring.In
                    m.d.comb += inner.eq(own) if inward else own.eq(inner)
                else:
                    wiring.connect(m, wiring.flipped(own), inner)
        return m
