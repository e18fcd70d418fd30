"""Max pools move behind the bits: the maximum of bits is their OR, which costs the hardware one gate."""

from sw import ir

__all__ = ["sink_pools"]


def sink_pools(graph: ir.Graph) -> ir.Graph:
    """Swap each max pool with the sign or threshold that alone follows it.

    Exact, as both are monotone: the maximum reaches a threshold if and only if one of its values does.
    """
    nodes: list[ir.Node] = []
    moved: dict[str, str] = {}  # from the name of bits to that of the pool which is now behind them
    for node in graph.nodes:
        if not moved.keys().isdisjoint(node.sources):
            node = node.with_sources(*(moved.get(source, source) for source in node.sources))
        last = nodes[-1] if nodes else None
        if isinstance(node, ir.Sign | ir.Threshold) and isinstance(last, ir.MaxPool) and (
                node.source == last.name and len(graph.consumers(last.name)) == 1):
            nodes[-1] = node.with_sources(last.source)
            moved[node.name] = last.name
            node = last.with_sources(node.name)
        nodes.append(node)
    return graph.replace(nodes=tuple(nodes))
