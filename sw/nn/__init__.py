"""PyTorch modules of binary neural networks that have an exact integer equivalent."""

from sw.nn.estimators import EDE, STE, ApproxSign, ClippedSTE, EDESchedule, Estimator, LongTail
from sw.nn.functional import round_straight_through, sign
from sw.nn.layers import (
    BinaryConv2d,
    BinaryLinear,
    MultiBitConv2d,
    PixelInput,
    ScoreHead,
    SignActivation,
    ThermometerInput,
    score_scale,
    set_epoch,
    set_real_weights,
)
from sw.nn.multi_bit import MultiBit
from sw.nn.weights import (
    WEIGHT_BINARIZERS,
    WSD,
    LibraPB,
    MeanScale,
    PlainSign,
    ReCU,
    TrainableScale,
    WeightBinarizer,
)

__all__ = [
    "EDE", "STE", "WEIGHT_BINARIZERS", "WSD", "ApproxSign", "BinaryConv2d", "BinaryLinear", "ClippedSTE",
    "EDESchedule", "Estimator", "LibraPB", "LongTail", "MeanScale", "MultiBit", "MultiBitConv2d", "PixelInput",
    "PlainSign", "ReCU", "ScoreHead", "SignActivation", "ThermometerInput", "TrainableScale", "WeightBinarizer",
    "round_straight_through", "score_scale", "set_epoch", "set_real_weights", "sign",
]
