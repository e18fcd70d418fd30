"""Random integer networks with every kind of node, as exporters of residual networks make them."""

import numpy as np

from sw import ir
from sw.numerics import black

#: What a random network may be made of, besides its input and scores.
CHOICES = ("conv", "affine", "add", "clip", "slopes", "average", "max", "subsample", "select", "concat", "sum", "power",
           "table", "compare", "threshold")


def random_residual(seed, steps=24, shape=(5, 6, 3), bits=3):
    """``steps`` nodes of random kinds on random results before them, and scores of two convolutions' sums."""
    random = np.random.default_rng(seed)
    nodes = [ir.Input("image", shape, bits)]
    while len(nodes) <= steps:
        graph = ir.Graph(tuple(nodes), "so-far")
        choice = CHOICES[len(nodes) - 1] if len(nodes) <= len(CHOICES) else str(random.choice(CHOICES))
        node = _node(random, graph, choice, f"{choice}{len(nodes)}")
        if node is not None:
            nodes.append(node)
    graph = ir.Graph(tuple(nodes), "so-far")
    ends = [node.name for node in nodes if not graph.consumers(node.name)] or [nodes[-1].name]
    for index, end in enumerate(ends):
        channels = graph.shape(end)[2]
        nodes += [ir.Clip(f"clip-{index}", end, -999, 1000), ir.GlobalSum(f"sum-{index}", f"clip-{index}"),
                  ir.Conv(f"head-{index}", f"sum-{index}", random.choice([-1, 1], (3, 1, 1, channels)))]
        if index:
            left = f"add-{index - 1}" if index > 1 else "head-0"
            nodes.append(ir.Add(f"add-{index}", left, f"head-{index}", 30))
    nodes.append(ir.Scores("scores", nodes[-1].name, random.integers(-9, 9, 3)))
    return ir.Graph(tuple(nodes), f"random-residual-{seed}")


def _node(random, graph, choice, name):
    """A node of one kind, or none if nothing so far can be its source."""
    # Small values, so that their sums, powers and products stay small.
    names = [node.name for node in graph.nodes if graph.range(node.name).reach < 1 << 13]
    source = str(random.choice(names))
    height, width, channels = graph.shape(source)
    count = int(random.integers(2, 5))
    if choice == "conv":
        return _conv(random, graph, source, name)
    if choice == "affine":
        return ir.Affine(name, source, random.integers(-99, 99, channels), random.integers(-999, 999, channels),
                         int(random.integers(0, 9)), int(random.integers(4, 12)))
    if choice in ("add", "compare"):
        others = [other for other in names if graph.shape(other) in ((height, width, channels), (1, 1, channels))]
        other = str(random.choice(others))
        return ir.Add(name, source, other, 8) if choice == "add" else ir.Compare(name, source, other)
    if choice == "clip":
        return ir.Clip(name, source, -int(random.integers(0, 9)), int(random.integers(0, 9)))
    if choice == "slopes":
        return ir.Slopes(name, source, random.integers(-9, 99, channels), random.integers(-9, 99, channels), 5, 9)
    if choice in ("average", "max"):
        if min(height, width) < 2:
            return None
        return (ir.AveragePool if choice == "average" else ir.MaxPool)(name, source, 2)
    if choice == "subsample":
        return ir.Subsample(name, source, int(random.integers(1, 4)))
    if choice == "select":
        least = 0 if graph.range(source).is_signs else -1
        return ir.Select(name, source, random.integers(least, channels, count))
    if choice == "concat":
        others = [other for other in names if graph.shape(other)[:2] == (height, width)]
        return ir.Concat(name, source, str(random.choice(others)))
    if choice == "sum":
        return ir.GlobalSum(name, source)
    if choice == "power":
        return ir.Power(name, source, int(random.integers(2, 4)))
    if choice == "table":
        return ir.Table(name, source, random.integers(-99, 99, int(random.integers(1, 20))),
                        int(random.integers(-9, 9)), int(random.integers(0, 6)))
    return ir.Threshold(name, source, random.integers(-5, 6, channels))


def _conv(random, graph, source, name):
    height, width, channels = graph.shape(source)
    groups = int(random.choice([count for count in (1, 2, 3) if channels % count == 0]))
    bits, padding = int(random.integers(1, 4)), int(random.integers(0, 2))
    kernel = int(random.integers(1, min(height, width, 3) + 1))
    weights = _weights(random, bits, 2 * groups, kernel, kernel, channels // groups)
    black_pad = source == "image" and random.random() < 0.5
    return ir.Conv(name, source, weights, int(random.integers(1, 3)), padding,
                   black(graph.inputs.bits) if black_pad else 0, groups, bits)


def random_fixed_point(seed, shape=(5, 6, 2), bits=2):
    """A chain of convolutions with fixed-point batch norms, clips, PReLUs and pools before each threshold.

    Gains are of any sign, or zero. Sometimes a sum ``aside...``, of which no score depends, takes the convolution's
    result, or the bits.
    """
    random = np.random.default_rng(seed)
    nodes = [ir.Input("image", shape, bits)]
    source, depth = "image", shape[2]
    for index in range(int(random.integers(1, 4))):
        groups = 2 if index and random.random() < 0.4 else 1
        weight_bits = int(random.choice([1, 1, 3]))
        conv = ir.Conv(f"conv{index}", source, _weights(random, weight_bits, 4, 2, 2, depth // groups), padding=1,
                       pad_value=0 if index else black(bits), groups=groups, weight_bits=weight_bits)
        nodes += [conv, *_fixed_point(random, conv.name, index)]
        source, depth = nodes[-1].name, 4
        for name in (conv.name, source):
            if random.random() < 0.15:
                nodes.append(ir.GlobalSum(f"aside-{name}", name))
    height, width, _ = ir.Graph(tuple(nodes), "so-far").shape(source)
    nodes += [ir.Conv("head", source, _weights(random, 1, 3, height, width, depth)),
              ir.Scores("scores", "head", random.integers(-3, 4, 3))]
    return ir.Graph(tuple(nodes), f"random-fixed-point-{seed}")


def _weights(random, bits, *shape):
    return 2 * random.integers(0, 2**bits, shape) - (2**bits - 1)


def _fixed_point(random, source, index):
    """An ``Affine``, perhaps a clip, a PReLU and a pool, and thresholds."""
    signs = random.choice([1, 1, 1, -1, 0], 4) if random.random() < 0.6 else random.choice([1, 1, 0], 4)
    steps = ["affine", *random.choice(["clip", "slopes"], int(random.integers(0, 3))).tolist(), "sign"]
    if random.random() < 0.5:
        steps.insert(int(random.integers(0, len(steps) + 1)), "pool")
    nodes = []
    for place, step in enumerate(steps):
        name = f"{step}{index}" if step in ("affine", "sign") else f"{step}-{place}-{index}"
        if step == "affine":
            node = ir.Affine(name, source, signs * random.integers(1, 40, 4), random.integers(-90, 90, 4),
                             int(random.integers(0, 5)), int(random.integers(4, 9)))
        elif step == "clip":
            node = ir.Clip(name, source, int(random.integers(-9, 2)), int(random.integers(2, 9)))
        elif step == "slopes":
            least = -1 if random.random() < 0.2 else 0
            node = ir.Slopes(name, source, random.integers(0, 20, 4), random.integers(least, 20, 4), 3, 8)
        elif step == "pool":
            node = ir.MaxPool(name, source, 2)
        else:
            node = ir.Threshold(name, source, random.integers(-9, 10, 4))
        nodes.append(node)
        source = name
    return nodes
