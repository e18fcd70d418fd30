"""What all words of a network share: their width, their limits, and the shift of the batch norms that make them."""

from collections.abc import Sequence
from typing import NamedTuple

from sw import ir
from sw.ir.ranges import signed_limits
from sw.residual.layers import WordLayer

__all__ = ["Saturation", "WordFormat", "word_format"]


class Saturation(NamedTuple):
    """A node that saturates on the way to words: so many bits ``beyond`` a word's, or, unless ``exact``, not before."""

    node: ir.Affine | ir.Slopes
    beyond: int
    exact: bool


class WordFormat(NamedTuple):
    """Words of ``bits`` bits within ``low`` and ``high``, of sums that are shifted by ``shift``."""

    bits: int
    low: int
    high: int
    shift: int


def word_format(graph: ir.Graph, layers: Sequence[WordLayer], widths: Sequence[Saturation]
                ) -> tuple[WordFormat, list[str]]:
    """The format of a network's words, and every reason why it is none of the engine."""
    reasons = []
    bits = sorted({node.bits for node in graph.nodes if isinstance(node, ir.Add)})
    if len(bits) > 1:
        reasons.append(f"network {graph.name}: its words have {bits} bits; export it with one width")
    if not bits:
        bits = [max(ir.value_bits(graph, layer.words) for layer in layers if layer.keep)]
    word_bits = bits[0]
    shifts = sorted({layer.shift for layer in layers if layer.shift is not None})
    if len(shifts) > 1 or 0 in shifts:
        reasons.append(f"network {graph.name}: its batch norms have shifts {shifts}, of which the engine has one, at "
                       f"least 1; calibrate it again with sw.export")
    clips = {layer.clip or signed_limits(word_bits) for layer in layers if layer.shift is not None}
    if len(clips) > 1:
        reasons.append(f"network {graph.name}: its words are limited to {sorted(clips)}, of which the engine has one "
                       f"pair")
    for node, beyond, exact in widths:
        wanted = word_bits + beyond
        if node.bits < wanted or (exact and node.bits > wanted):
            reasons.append(f"{node.name}: saturates to {node.bits} bits, where the engine does to {wanted}; export it "
                           f"again with sw.export")
    low, high = next(iter(clips), signed_limits(word_bits))
    least, most = signed_limits(word_bits)
    if not least <= low < 0 < high <= most:
        reasons.append(f"network {graph.name}: its words are limited to {low} to {high}; the engine's limits lie on "
                       f"both sides of 0, as those of a hardtanh, within {least} to {most}")
    return WordFormat(word_bits, low, high, shifts[0] if shifts else 1), reasons
