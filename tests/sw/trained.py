"""Random networks as they come from training, not lowered: batch norms of any sign, and pools at any place."""

import numpy as np

from sw import ir
from sw.numerics import black


def random_batch_norm(random, name, source, channels, scale):
    """Parameters around sums of size ``scale``.

    One gain in three is negative and one in six zero. Half of the channels have means that are integers, squares as
    variances and no bias, or one that cancels: their exact value is zero at some integer.
    """
    gain = random.uniform(0.1, 2, channels) * random.choice([1, 1, 1, -1, -1, 0], channels)
    mean = random.normal(0, 0.3 * scale, channels)
    variance = random.uniform(0.05, 1, channels) * scale
    bias = random.normal(0, 0.5, channels)
    ties = random.random(channels) < 0.5
    gain = np.where(ties, np.sign(gain) * 2.0 ** random.integers(-3, 2, channels), gain)
    mean = np.where(ties, np.round(mean), mean)
    root = 2.0 ** random.integers(-1, 3, channels)
    bias = np.where(ties, gain / root * random.integers(-2, 3, channels), bias)
    # Less epsilon, which float32 holds here.
    variance = np.where(ties, root**2 - 2.0**-10, variance)
    return ir.BatchNorm(name, source, *(array.astype(np.float32) for array in (gain, bias, mean, variance)), 2.0**-10)


def random_trained(seed, places=("before", "after", "between", "none"), shape=(6, 6, 1), bits=2):
    """One convolution for each entry of ``places``, which says where its pool stands, then a scored head.

    ``before``: before the batch norm; ``between``: between it and the sign; ``after``: behind the sign; ``none``; and
    ``no norm``: sign alone, behind a pool.
    """
    random = np.random.default_rng(seed)
    nodes = [ir.Input("input", shape, bits)]
    height, width, depth = shape
    for index, place in enumerate(places):
        count = int(random.integers(2, 5))
        padding = int(random.integers(0, 2)) if min(height, width) > 3 else 1
        first = not index
        weights = random.choice([-1, 1], (count, 3, 3, depth))
        nodes.append(ir.Conv(f"conv{index}", nodes[-1].name, weights, 1, padding,
                             black(bits) if first and padding else 0))
        scale = 9 * depth * (2**bits - 1 if first else 1)
        height, width, depth = height + 2 * padding - 2, width + 2 * padding - 2, count
        pooled = place != "none" and min(height, width) > 1
        steps = {"before": "pool norm sign", "between": "norm pool sign", "after": "norm sign pool",
                 "none": "norm sign", "no norm": "pool sign"}[place].split()
        for step in steps:
            if step == "norm":
                nodes.append(random_batch_norm(random, f"norm{index}", nodes[-1].name, count, scale))
            elif step == "sign":
                nodes.append(ir.Sign(f"sign{index}", nodes[-1].name))
            elif pooled:
                nodes.append(ir.MaxPool(f"pool{index}", nodes[-1].name, 2))
                height, width = height // 2, width // 2
    nodes.append(ir.Conv("head", nodes[-1].name, random.choice([-1, 1], (3, height, width, depth))))
    nodes.append(ir.Scores("scores", "head", random.integers(-2, 3, 3)))
    return ir.Graph(tuple(nodes), f"random-trained-{seed}", {"seed": seed})
