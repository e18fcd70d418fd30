"""PyTorch modules of binary neural networks that have an exact integer equivalent."""

from sw.nn.functional import ApproxSign, ClippedSTE, Estimator, round_straight_through, sign
from sw.nn.layers import BinaryConv2d, BinaryLinear, PixelInput, ScoreHead, SignActivation

__all__ = [
    "ApproxSign", "BinaryConv2d", "BinaryLinear", "ClippedSTE", "Estimator", "PixelInput", "ScoreHead",
    "SignActivation", "round_straight_through", "sign",
]
