"""``sw.models.methods``: what each published method is made of, as its paper and code have it."""

import pytest
import torch

from sw import models
from sw.errors import CompileError
from sw.models.methods import METHOD_OPTIONS, METHODS, Method, method_for
from sw.nn import WSD, ApproxSign, ClippedSTE, EDESchedule, LibraPB, LongTail, MeanScale, ReCU, TrainableScale
from sw.nn.activations import (
    ASD,
    InstaThreshold,
    NormalisedSign,
    PlainActivation,
    RSign,
    ScaledSign,
    SqueezeInstaThreshold,
)
from sw.nn.blocks import ResidualUnit
from sw.nn.nonlinear import Hardtanh, InstaPReLU, PReLU, RPReLU, SqueezeInstaPReLU

EDE = EDESchedule(1e-3, 10.0)

#: Weights, their estimator, activations, their estimator, non-linearity, shortcut.
PARTS = {
    "ir-net": (LibraPB, EDE, PlainActivation, EDE, Hardtanh, "option-a"),
    "recu": (ReCU, None, NormalisedSign, ApproxSign(), Hardtanh, "average-pad"),
    "sd-bnn": (WSD, EDE, ASD, EDE, Hardtanh, "option-a"),
    "xu-cheung": (TrainableScale, LongTail(), ScaledSign, LongTail(), Hardtanh, "average-pad"),
    "reactnet": (MeanScale, ClippedSTE(), RSign, ApproxSign(), RPReLU, "average-duplicate"),
    "adambnn": (MeanScale, ClippedSTE(), RSign, ApproxSign(), RPReLU, "average-duplicate"),
    "repbnn": (ReCU, None, NormalisedSign, ApproxSign(), Hardtanh, "average-pad"),
    "ftbnn": (MeanScale, ClippedSTE(), PlainActivation, ApproxSign(), PReLU, "binary"),
    "insta": (MeanScale, ClippedSTE(), InstaThreshold, ApproxSign(), InstaPReLU, "average-duplicate"),
    "insta-plus": (MeanScale, ClippedSTE(), SqueezeInstaThreshold, ApproxSign(), SqueezeInstaPReLU,
                   "average-duplicate"),
}


def test_all_methods_are_here():
    assert set(PARTS) == set(METHODS)
    assert all(method.summary for method in METHODS.values())


@pytest.mark.parametrize("name", PARTS)
def test_parts(name):
    weights, weight_estimator, activations, estimator, nonlinearity, shortcut = PARTS[name]
    method = method_for(name, "resnet20")
    binarizer = method.weight_binarizer(8)
    assert type(binarizer) is weights and binarizer.out_channels == 8
    assert weight_estimator is None or binarizer.estimator == weight_estimator
    assert type(method.activation(8)) is activations and method.activation(8).estimator == estimator
    assert type(method.nonlinear(8)) is nonlinearity
    assert (method.shortcut, method.before) == (shortcut, name == "ftbnn")
    assert (method.beta, method.groups, method.width) == (2 if name == "repbnn" else 1, *(
        (4, 2) if name == "ftbnn" else (1, 1)))
    assert method.bounded == (nonlinearity is Hardtanh) and method.double
    assert (method.shuffle(8) is None) == (method.groups == 1)


@pytest.mark.parametrize("name, model, changes", [
    ("ir-net", "resnet18", {"double": False, "shortcut": "real-strided"}),
    ("recu", "resnet18", {"double": False, "shortcut": "average-pad"}),
    ("sd-bnn", "resnet18", {"double": False, "shortcut": "real-strided"}),
    ("repbnn", "resnet18", {"double": False, "beta": 2}),
    ("reactnet", "reactnet-resnet18", {"shortcut": "real"}),
    ("repbnn", "reactnet-a", {"weights": "mean", "activations": "rsign", "nonlinearity": "rprelu", "beta": 2}),
    ("repbnn", "reactnet-resnet18", {"nonlinearity": "rprelu", "shortcut": "real"}),
    ("insta", "reactnet-resnet18", {"shortcut": "real"}),
    ("reactnet", "resnet20", {"shortcut": "average-duplicate", "double": True}),
])
def test_variants_of_a_model(name, model, changes):
    method = method_for(name, model)
    assert {key: getattr(method, key) for key in changes} == changes


def test_options_come_before_variants():
    method = method_for("ir-net", "resnet18", shortcut="option-a", double=None, beta=2)
    assert (method.shortcut, method.double, method.beta) == ("option-a", False, 2)
    assert method_for("ir-net", "resnet18", before=False).before is False
    assert set(METHOD_OPTIONS) <= set(Method.__dataclass_fields__)


@pytest.mark.parametrize("given, message", [
    ({"weights": "reku"}, "unknown weights: 'reku'; did you mean 'recu'?"),
    ({"beta": 2.0}, "beta must be a positive integer, not 2.0"),
    ({"groups": 0}, "groups must be a positive integer, not 0"),
])
def test_bad_parts(given, message):
    with pytest.raises(CompileError) as caught:
        Method("mine", **given)
    assert message in str(caught.value)


def test_unknown_method():
    with pytest.raises(CompileError, match="unknown method: 'insta-bnn'; did you mean 'insta'. There are: ir-net, "):
        method_for("insta-bnn", "resnet20")


@pytest.mark.parametrize("name", PARTS)
def test_every_layer_has_the_parts_of_its_method(name):
    with torch.device("meta"):
        model = models.build("resnet20", method=name)
    units = [module for module in model.modules() if isinstance(module, ResidualUnit)]
    weights, _, activations, _, nonlinearity, _ = PARTS[name]
    assert {(type(unit.conv.conv.binarizer), type(unit.binarize), type(unit.nonlinearity)) for unit in units} == {
        (weights, activations, nonlinearity)}
