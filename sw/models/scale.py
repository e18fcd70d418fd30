"""From integer sums to logits."""

import math

__all__ = ["score_scale"]


def score_scale(features: int) -> float:
    """The power of two next to ``1 / sqrt(features)``: sums of so many random signs become logits near 1."""
    return 2.0 ** -round(math.log2(features) / 2)
