"""First pass: refuse what no later pass can lower, with all reasons at once."""

from collections.abc import Sequence

from sw import ir
from sw.errors import UnsupportedLayerError

__all__ = ["check_supported"]

_KNOWN = ir.Input | ir.Conv | ir.BatchNorm | ir.Sign | ir.MaxPool | ir.Threshold | ir.Scores


def check_supported(graph: ir.Graph) -> ir.Graph:
    """The graph itself, if the passes after this one can lower it.

    It is a chain in which sums turn into bits once between two convolutions, with at most one batch norm
    before that and at most one pool anywhere, and whose last sums are the scores. Raises
    ``UnsupportedLayerError``.
    """
    reasons = _branches(graph)
    if not reasons:
        runs = _runs(graph)
        if len(runs) == 1:
            reasons.append(f"{graph.inputs.name}: the network has no convolution or fully connected layer")
        for node in runs[0][1:]:
            reasons.append(f"{node.name}: {_kind(node)} of the image itself; begin with a convolution or a "
                           f"fully connected layer")
        for run, following in zip(runs[1:], runs[2:]):
            reasons += _hidden(run, following[0])
        if len(runs) > 1:
            reasons += _last(runs[-1])
    if reasons:
        raise UnsupportedLayerError(reasons)
    return graph


def _kind(node: ir.Node) -> str:
    return type(node).__name__


def _branches(graph: ir.Graph) -> list[str]:
    """Nodes that make the graph something other than a chain of known kinds."""
    reasons = []
    for previous, node in zip(graph.nodes, graph.nodes[1:]):
        if not isinstance(node, _KNOWN):
            reasons.append(f"{node.name}: {_kind(node)} in a network that still has a BatchNorm or Sign; leave it out, "
                           f"or give integers throughout (Affine and Threshold in their place)")
        elif node.sources != (previous.name,):
            reasons.append(f"{node.name}: takes {', '.join(node.sources)}, not the layer before it, "
                           f"{previous.name}; branches are not supported, so make the network a chain")
    return reasons


def _runs(graph: ir.Graph) -> list[list[ir.Node]]:
    """The chain cut before each convolution."""
    runs: list[list[ir.Node]] = []
    for node in graph.nodes:
        if isinstance(node, ir.Input | ir.Conv):
            runs.append([])
        runs[-1].append(node)
    return runs


def _hidden(run: Sequence[ir.Node], following: ir.Node) -> list[str]:
    """Reasons why the nodes between a convolution and the next make no layer."""
    conv, *rest = run
    reasons = []
    bits: ir.Node | None = None
    norms: list[str] = []
    pools: list[ir.MaxPool] = []
    for node in rest:
        if isinstance(node, ir.Sign | ir.Threshold):
            if bits:
                reasons.append(f"{node.name}: {bits.name} already gives bits; leave out this {_kind(node)}")
            elif isinstance(node, ir.Threshold) and norms:
                reasons.append(f"{node.name}: a Threshold behind batch norm {norms[0]}; use a Sign there")
            bits = bits or node
        elif isinstance(node, ir.BatchNorm):
            if bits:
                reasons.append(f"{node.name}: a batch norm behind {bits.name}, which gives bits; "
                               f"put it before")
            elif norms:
                reasons.append(f"{node.name}: {norms[0]} already normalises; leave out one of the two")
            norms.append(node.name)
        elif isinstance(node, ir.MaxPool):
            if pools:
                size = pools[0].size * node.size
                reasons.append(f"{node.name}: {pools[0].name} already pools; use one pool of size {size}")
            pools.append(node)
    if not bits:
        reasons.append(f"{conv.name}: its sums reach {following.name} without a sign; put a SignActivation "
                       f"between them")
    return reasons


def _last(run: Sequence[ir.Node]) -> list[str]:
    """Reasons why the nodes from the last convolution on give no scores."""
    conv, *rest = run
    last = run[-1]
    if not isinstance(last, ir.Scores):
        reason = f"{last.name}: it does not give scores; end with a fully connected layer and a ScoreHead"
        return [reason]
    return [f"{node.name}: {_kind(node)} between {conv.name} and the scores; the ScoreHead's offsets suffice"
            for node in rest[:-1]]
