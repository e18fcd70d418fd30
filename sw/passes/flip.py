"""Channels of the other sign: the weights that make them, or take them, are negated."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from sw import ir

__all__ = ["flip_inputs", "flip_outputs"]


def flip_outputs(conv: ir.Node, channels: NDArray[np.bool_]) -> ir.Conv:
    """The convolution with the sums of some channels, ``bool (O,)``, negated."""
    assert isinstance(conv, ir.Conv)  # as the passes have found
    return _scaled(conv, np.where(channels, -1, 1).reshape(-1, 1, 1, 1))


def flip_inputs(conv: ir.Node, channels: NDArray[np.bool_]) -> ir.Conv:
    """The convolution that gives the same sums where some channels of its source, ``bool (C,)``, are negated.

    Its padding must be skipped, not black.
    """
    assert isinstance(conv, ir.Conv)  # as the passes have found
    signs = np.where(channels, -1, 1).reshape(conv.groups, 1, 1, -1)
    return _scaled(conv, np.repeat(signs, len(conv.weights) // conv.groups, axis=0))


def _scaled(conv: ir.Conv, signs: NDArray[np.int_]) -> ir.Conv:
    return dataclasses.replace(conv, weights=conv.weights * signs)
