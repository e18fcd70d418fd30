"""Integer mode under autograd: the values are those of integer mode, the gradients those of real mode."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sw import models
from sw.errors import CompileError
from sw.models.methods import METHODS
from sw.nn import BinaryConv2d, MultiBitConv2d, ReCU, TrainableScale
from sw.nn.activations import NormalisedSign, PlainActivation, RSign, ScaledSign
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import FixedPoint, check_trainable, set_fixed
from sw.nn.head import BinaryHead, MultiBitHead, PooledHead
from sw.nn.nonlinear import Hardtanh, Linear, PReLU, ReLU, RPReLU, TwoSlopePReLU
from sw.nn.shortcuts import AveragePool
from sw.quantise import common_shift
from tests.sw.scalar_words import randomise

#: Words so fine that a rounding hardly moves a gradient.
FINE = FixedPoint(11, 16)

STATISTICS = ("sd-bnn", "insta", "insta-plus")
ABLE = [method for method in METHODS if method not in STATISTICS]

NETWORKS = [
    *(("resnet8", {"method": method}) for method in ABLE),
    ("resnet8", {"method": "recu", "stem_bits": 1, "double": False}),
    ("resnet8", {"method": "reactnet", "shortcut": "real", "beta": 2}),
    ("resnet8", {"method": "ir-net", "nonlinearity": "two-slope", "before": True}),
    ("resnet18", {"method": "ir-net", "blocks": 1}),
    ("vgg-tiny", {"method": "recu"}), ("vgg-tiny", {"method": "xu-cheung", "head_bits": 1}),
    ("tfc", {"method": "reactnet", "hidden": 8}),
]


def made(name, options, seed=3):
    """A model with parameters and statistics as of a training, and images."""
    torch.manual_seed(seed)
    widths = {} if name == "tfc" else {"widths": (8, 16)}
    model = models.build(name, image=(1, 8, 8), **{**widths, **options})
    images = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        for _ in range(20):
            model(images)
        for parameter in model.parameters():
            if parameter.ndim <= 1:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model.eval(), images


@pytest.mark.parametrize("fixed", [FixedPoint(5, 8), FixedPoint(3, 5), FINE], ids=str)
@pytest.mark.parametrize("name, options", NETWORKS, ids=str)
def test_forward_is_integer_mode_and_a_step_changes_weights(name, options, fixed):
    model, images = made(name, options)
    set_fixed(model, fixed)
    set_fixed(model, replace(fixed, shift=common_shift(model, images[:1])))
    with torch.no_grad():
        scores = model(images)
    assert torch.equal(scores, scores.round())
    statistics = [buffer.clone() for buffer in model.buffers()]
    logits = model.train()(images)
    assert torch.equal(logits, scores * model.head.unit())
    nn.functional.cross_entropy(logits, torch.arange(12) % 10).backward()
    assert all(torch.equal(*pair) for pair in zip(statistics, model.buffers()))
    lacking = [path for path, parameter in model.named_parameters() if parameter.grad is None]
    assert lacking in ([], ["head_sign.beta"])  # the scale of the last bits is no part of the scores
    before = [parameter.detach().clone() for parameter in model.parameters()]
    torch.optim.SGD(model.parameters(), 0.1).step()
    changed = sum(not torch.equal(*pair) for pair in zip(before, model.parameters()))
    assert changed > 0.8 * len(before)


@pytest.mark.parametrize("name, options", NETWORKS, ids=str)
def test_gradients_of_networks_are_those_of_real_mode(name, options):
    model, images = made(name, options)
    found = []
    for fixed in (None, FINE):
        set_fixed(model, fixed)
        model.zero_grad()
        outputs = model(images).double() * (1.0 if fixed is None else model.head.unit())
        nn.functional.cross_entropy(outputs, torch.arange(12) % 10).backward()
        found.append({path: parameter.grad for path, parameter in model.named_parameters()
                      if parameter.grad is not None})
    assert found[0].keys() == found[1].keys()
    real, integer = (torch.cat([grad.double().flatten() for grad in grads.values()]) for grads in found)
    assert torch.cosine_similarity(real, integer, 0) > 0.95
    assert 0.95 < integer.norm() / real.norm() < 1.05


def parts():
    """Name, module, and whether its input and its output are words."""
    torch.manual_seed(4)
    for kind in (Linear, Hardtanh, ReLU, PReLU, TwoSlopePReLU, RPReLU):
        yield kind.__name__, kind(4), True, True
    yield "average pool", AveragePool(), True, True
    for kind in (PlainActivation, NormalisedSign, RSign, ScaledSign):
        yield kind.__name__, kind(4), True, False
    yield "conv", ConvNorm(BinaryConv2d(4, 6, 3, padding=1, binarizer=ReCU(6))), False, True
    yield "pool", ConvNorm(BinaryConv2d(4, 6, 3, padding=1, binarizer=TrainableScale(6)), pool=2), False, True
    yield "tile", ConvNorm(BinaryConv2d(4, 2, 1), tile=4, tile_after=2), False, True
    yield "stem", ConvNorm(MultiBitConv2d(4, 3, 3), stem=True), False, True
    yield "words", ConvNorm(MultiBitConv2d(4, 3, 1), takes_words=True), True, True
    yield "binary head", BinaryHead(4, 3, 6), False, None
    yield "head", MultiBitHead(4, 3, 6), False, None
    yield "pooled head", PooledHead(4, 3, 6, norm=True), True, None


PARTS = [name for name, *_ in parts()]


@pytest.mark.parametrize("name", PARTS)
def test_gradients_of_parts_are_those_of_real_mode(name):
    module, of_words, gives_words = next(rest for other, *rest in parts() if other == name)
    randomise(module.eval(), 5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[parameter == 0] = 0.3  # behind a scale of zero all sums of a window would be its maximum
    # Steps of 1/64 less 1/200, so that no rounding of a shift reaches a corner.
    x = (torch.randint(-60, 60, (2, 4, 6, 6)) / 64 - 1 / 200).double() if of_words else (
        torch.randint(0, 2, (2, 4, 6, 6)).double() * 2 - 1)
    if of_words:
        x = (x * FINE.one).round() / FINE.one
    found, upstream = [], None
    for fixed in (None, FINE):
        set_fixed(module, fixed)
        module.zero_grad()
        reals = x.clone().requires_grad_()
        y = module((reals * FINE.one if of_words else reals) if fixed else reals.float()).double()
        if fixed is not None:
            y = y / FINE.one if gives_words else y * module.unit() if gives_words is None else y
        upstream = torch.randn_like(y) if upstream is None else upstream
        (y * upstream).sum().backward()
        found.append([reals.grad, *(parameter.grad for parameter in module.parameters())])
    assert found[0][0].any()
    for real, integer in zip(*found):
        assert (real is None) == (integer is None)
        if real is not None:
            torch.testing.assert_close(integer.to(real.dtype), real, rtol=2e-3, atol=4e-3 * float(real.abs().max()))


@pytest.mark.parametrize("module", [
    Linear(1), Hardtanh(1), ReLU(1), PReLU(1), RPReLU(1),
    ConvNorm(MultiBitConv2d(1, 1, 1), takes_words=True)], ids=lambda module: type(module).__name__)
def test_gradients_are_zero_where_words_saturate(module):
    fixed = FixedPoint(2, 4)
    set_fixed(module, fixed)
    if isinstance(module, ConvNorm):
        with torch.no_grad():
            module.conv.weight.fill_(1)
    x = torch.arange(-100.0, 100.0).double().reshape(1, 1, 10, 20).requires_grad_()
    y = module(x)
    y.sum().backward()
    beyond = (y == y.min()) | (y == y.max())
    inside = x.grad[~beyond]
    assert inside.all() and len(inside) > 3
    assert x.grad[beyond].count_nonzero() <= 8  # those that reach the limits exactly
    assert not x.grad[0, 0, 0].any() or isinstance(module, PReLU) and not x.grad[0, 0, 0, 0]
    assert not x.grad[0, 0, -1].any()


@pytest.mark.parametrize("method, path", [
    ("sd-bnn", "stage1_block1a.binarize.shift: SqueezeExcite"),
    ("insta", "stage1_block1a.binarize.threshold: InstanceBias"),
    ("insta-plus", "stage1_block1a.binarize.threshold: InstanceBias")])
def test_statistics_are_refused_by_name(method, path):
    model, _ = made("resnet8", {"method": method})
    with pytest.raises(CompileError, match=f"^{path}, a statistic of the image, has no gradient in integer mode"):
        check_trainable(model)


def test_networks_without_words_are_refused():
    check_trainable(made("resnet8", {})[0])
    with pytest.raises(CompileError, match="the model has no real values between its layers"):
        check_trainable(models.build("cnn"))
