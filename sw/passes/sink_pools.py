"""Max pools move behind the bits: the maximum of bits is their OR, which costs the hardware one gate."""

import dataclasses

from sw import ir

__all__ = ["sink_pools"]


def sink_pools(graph: ir.Graph) -> ir.Graph:
    """Swap each max pool with the sign or threshold that alone follows it.

    Exact, as both are monotone: the maximum reaches a threshold if and only if one of its values does.
    """
    nodes: list[ir.Node] = []
    moved: dict[str, ir.MaxPool] = {}  # by the name of the node behind which the pool now is
    for node in graph.nodes:
        if isinstance(node, ir.Unary) and node.source in moved:
            node = dataclasses.replace(node, source=moved[node.source].name)
        last = nodes[-1] if nodes else None
        if isinstance(node, ir.Sign | ir.Threshold) and isinstance(last, ir.MaxPool) and (
                node.source == last.name and len(graph.consumers(last.name)) == 1):
            nodes[-1] = dataclasses.replace(node, source=last.source)
            moved[node.name] = dataclasses.replace(last, source=node.name)
            node = moved[node.name]
        nodes.append(node)
    return graph.replace(nodes=tuple(nodes))
