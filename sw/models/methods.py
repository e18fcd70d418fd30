"""The published ways to train a binary network, by name: which parts each puts into a model.

How each is trained stands in ``sw/train/recipes/methods.toml``. Formulas and sources are in ``sw.nn``.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import nn

from sw.errors import CompileError
from sw.names import nearest
from sw.nn.activations import ACTIVATION_BINARIZERS, ActivationBinarizer
from sw.nn.blocks import ChannelShuffle
from sw.nn.conv_norm import ConvNorm
from sw.nn.estimators import ApproxSign, EDESchedule, Estimator, LongTail
from sw.nn.layers import BinaryConv2d
from sw.nn.nonlinear import NONLINEARITIES, Nonlinearity
from sw.nn.shortcuts import SHORTCUTS
from sw.nn.weights import WEIGHT_BINARIZERS, WeightBinarizer

__all__ = ["METHODS", "METHOD_OPTIONS", "Method", "method_for"]


@dataclass(frozen=True)
class Method:
    """The parts of a network: names of ``WEIGHT_BINARIZERS``, ``ACTIVATION_BINARIZERS``, ``NONLINEARITIES`` and
    ``SHORTCUTS``, and its structure.

    ``estimator`` is that of activations, ``weight_estimator`` that of weights if not the binarizer's own. ``before``
    puts the non-linearity before the sum with the shortcut, and ``double`` gives every convolution a shortcut of its
    own. ``beta`` repeats channels (``repeat_channels``). ``groups`` splits the convolutions of widths that are
    multiplied by ``width``, with a channel shuffle between; binary operations stay as many if ``width**2 == groups``.
    ``variants`` has changes for a model, by its name.

    Raises ``CompileError`` for an unknown part.
    """

    summary: str
    weights: str = "sign"
    activations: str = "sign"
    estimator: Estimator = ApproxSign()
    weight_estimator: Estimator | None = None
    nonlinearity: str = "hardtanh"
    before: bool = False
    shortcut: str = "average-pad"
    double: bool = True
    beta: int = 1
    groups: int = 1
    width: int = 1
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, given, known in (
                ("weights", self.weights, WEIGHT_BINARIZERS), ("activations", self.activations, ACTIVATION_BINARIZERS),
                ("nonlinearity", self.nonlinearity, NONLINEARITIES), ("shortcut", self.shortcut, SHORTCUTS)):
            nearest(what, given, tuple(known), CompileError)
        for what in ("beta", "groups", "width"):
            value = getattr(self, what)
            if not isinstance(value, int) or value < 1:
                raise CompileError(f"{what} must be a positive integer, not {value!r}")

    @property
    def bounded(self) -> bool:
        """Whether a hardtanh keeps all real values within -1 and 1."""
        return self.nonlinearity == "hardtanh"

    def weight_binarizer(self, channels: int) -> WeightBinarizer:
        """For a layer of that many output channels."""
        make: Callable[..., WeightBinarizer] = WEIGHT_BINARIZERS[self.weights]
        return make(channels) if self.weight_estimator is None else make(channels, estimator=self.weight_estimator)

    def activation(self, channels: int) -> ActivationBinarizer:
        """For maps of that many channels."""
        return ACTIVATION_BINARIZERS[self.activations](channels, self.estimator)

    def nonlinear(self, channels: int) -> Nonlinearity:
        """For maps of that many channels."""
        return NONLINEARITIES[self.nonlinearity](channels)

    def conv(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, padding: int = 0,
             pool: int = 1) -> ConvNorm:
        """A binary convolution with its batch norm; raises ``CompileError`` where groups do not divide channels."""
        try:
            return ConvNorm(BinaryConv2d(in_channels, out_channels, kernel, stride, padding, groups=self.groups,
                                         binarizer=self.weight_binarizer(out_channels)), pool=pool)
        except ValueError as error:
            raise CompileError(f"{error}; take other groups or a width that they divide") from None

    def shuffle(self, channels: int) -> ChannelShuffle | None:
        """What mixes groups before a convolution of that many input channels."""
        return ChannelShuffle(channels, self.groups) if self.groups > 1 else None

    def make_shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        """Around a convolution: the identity unless the shape changes; raises ``CompileError`` if it cannot."""
        if in_channels == out_channels and stride == 1:
            return nn.Identity()
        try:
            return SHORTCUTS[self.shortcut](in_channels, out_channels, stride, self.weight_binarizer(out_channels))
        except ValueError as error:
            raise CompileError(f"shortcut {self.shortcut}: {error}; take widths that do not shrink, or another "
                               f"shortcut") from None


# With the start of the released ResNet-20 trainers of both methods.
_EDE = EDESchedule(1e-3, 10.0)

_REACTNET: Mapping[str, Any] = MappingProxyType({
    "weights": "mean", "activations": "rsign", "nonlinearity": "rprelu", "shortcut": "average-duplicate"})

METHODS: Mapping[str, Method] = MappingProxyType({
    "ir-net": Method(
        "IR-Net: Libra-PB weights, EDE gradients, hardtanh, option A shortcuts (Qin et al., CVPR 2020)",
        weights="libra-pb", estimator=_EDE, weight_estimator=_EDE, shortcut="option-a",
        variants={"resnet18": {"double": False, "shortcut": "real-strided"}}),
    "recu": Method(
        "ReCU: rectified clamp of standardised weights, learned scale (Xu et al., ICCV 2021)",
        weights="recu", activations="normalised", variants={"resnet18": {"double": False}}),
    "sd-bnn": Method(
        "SD-BNN: thresholds from the image's mean, shifted weights, EDE gradients (Xue et al., 2021)",
        weights="wsd", activations="asd", estimator=_EDE, weight_estimator=_EDE, shortcut="option-a",
        variants={"resnet18": {"double": False, "shortcut": "real-strided"}}),
    "xu-cheung": Method(
        "Xu & Cheung: learned scales of weights and activations, long-tail gradients (BMVC 2019)",
        weights="trainable", activations="trainable", estimator=LongTail()),
    "reactnet": Method(
        "ReActNet: RSign and RPReLU, two-step training with a teacher (Liu et al., ECCV 2020)", **_REACTNET,
        variants={"reactnet-resnet18": {"shortcut": "real"}}),
    "adambnn": Method(
        "AdamBNN: ReActNet's network, weight decay in the first step alone (Liu et al., ICML 2021)", **_REACTNET,
        variants={"reactnet-resnet18": {"shortcut": "real"}}),
    "repbnn": Method(
        "RepBNN: channels repeated twice, on ReCU or, in ReActNet's networks, on AdamBNN (Shi et al., 2022)",
        weights="recu", activations="normalised", beta=2,
        variants={"resnet18": {"double": False}, "reactnet-a": _REACTNET,
                  "reactnet-resnet18": {**_REACTNET, "shortcut": "real"}}),
    "ftbnn": Method(
        "FTBNN-style: PReLU before the shortcut, groups with shuffle, binary down-sampling (after Su et al., 2020)",
        weights="mean", nonlinearity="prelu", before=True, shortcut="binary", groups=4, width=2),
    "insta": Method(
        "INSTA-style: thresholds and PReLU that follow the image's third moment (after Lee et al., ICCV 2023)",
        weights="mean", activations="insta", nonlinearity="insta-prelu", shortcut="average-duplicate",
        variants={"reactnet-resnet18": {"shortcut": "real"}}),
    "insta-plus": Method(
        "INSTA-style with squeeze-excite branches, the + form (after Lee et al., ICCV 2023)",
        weights="mean", activations="insta-plus", nonlinearity="insta-prelu-plus", shortcut="average-duplicate",
        variants={"reactnet-resnet18": {"shortcut": "real"}}),
})


#: Fields that a model takes as options in place of the method's.
METHOD_OPTIONS = ("weights", "activations", "nonlinearity", "before", "shortcut", "double", "beta", "groups", "width")


def method_for(name: str, model: str, **changes: Any) -> Method:
    """The method ``name`` as it is in the model of that name, with ``changes`` to its fields that are not None.

    Raises ``CompileError`` for an unknown name or part.
    """
    method = METHODS[nearest("method", name, tuple(METHODS), CompileError)]
    given = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(method, **{**method.variants.get(model, {}), **given})
