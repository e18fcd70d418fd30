"""``sw.quantise``: the format that is chosen, and what is left behind when none fits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sw import ir, models
from sw.errors import CompileError
from sw.frontend.torch_import import import_module
from sw.nn.blocks import ResidualUnit
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import FixedPoint, fixed_point, set_fixed
from sw.nn.nonlinear import PReLU
from sw.passes import lower
from sw.quantise import WORD_BITS, calibrate, common_shift, needs_format, stores_words


def trained(name="resnet8", seed=1, **options):
    """A model as after a training, and images."""
    torch.manual_seed(seed)
    model = models.build(name, image=(1, 8, 8), **options)
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        for _ in range(30):  # until running statistics are those of the images
            model(images)
        for parameter in model.parameters():
            if parameter.ndim <= 1:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model, images


def own_shifts(model):
    """Of the layers of a model without learned scales of activations, each by itself."""
    return [module.constants().shift for module in model.modules() if isinstance(module, ConvNorm)]


def agreement(model, images, fixed):
    """Images whose class is that of the real model, with the smallest shift for all batch norms."""
    with torch.no_grad():
        set_fixed(model, None)
        real = [row.index(max(row)) for row in model.eval()(images).tolist()]
        set_fixed(model, fixed)
        set_fixed(model, replace(fixed, shift=min(own_shifts(model))))
        return sum(row.index(max(row)) == right for row, right in zip(model(images).tolist(), real))


@pytest.mark.parametrize("method, bits", [("recu", 8), ("reactnet", 10), ("insta-plus", 12), ("reactnet", 5)])
def test_the_best_fraction_is_chosen_and_of_equal_ones_the_longest(method, bits):
    model, images = trained(method=method, widths=(8, 16))
    found = calibrate(model, images, bits)
    assert fixed_point(model) == found and found.bits == bits and not model.training
    counts = {}
    for fraction in range(1, bits):
        try:
            counts[fraction] = agreement(model, images, FixedPoint(fraction, bits))
        except CompileError:
            continue
    assert found.fraction == max(fraction for fraction, count in counts.items() if count == max(counts.values()))
    assert len(set(counts.values())) > 1


def test_wide_words_agree_with_the_real_model():
    model, images = trained(widths=(8, 16), stem_bits=1)
    found = calibrate(model, images, 16)
    assert agreement(model, images, found) == len(images)


def test_default_width_and_batches():
    model, images = trained(widths=(8,))
    assert calibrate(model, images).bits == WORD_BITS == 8
    set_fixed(model, None)
    assert calibrate(model, images.repeat(7, 1, 1, 1)) == calibrate(model, images)


def test_a_format_of_before_does_not_count():
    model, images = trained(widths=(8,))
    first = calibrate(model, images)
    set_fixed(model, FixedPoint(1, 4))
    assert calibrate(model, images) == first


@pytest.mark.parametrize("bits", [4, 24])
def test_narrowest_and_widest(bits):
    model, images = trained(widths=(8,))
    found = calibrate(model, images[:8], bits)
    assert found.bits == bits and 1 <= found.fraction <= min(bits - 1, 20)


@pytest.mark.parametrize("bits", [3, 25, 0, -1])
def test_other_widths_are_refused(bits):
    model, images = trained(widths=(8,))
    set_fixed(model, FixedPoint(3, 9))
    with pytest.raises(CompileError, match=f"words must have 4 to 24 bits and a fraction of 0 to 20, not {bits} and 1"):
        calibrate(model, images, bits)
    assert fixed_point(model) is None


def test_constants_that_fit_with_no_fraction():
    model, images = trained(method="reactnet", widths=(8,))
    prelu = next(module for module in model.modules() if isinstance(module, PReLU))
    with torch.no_grad():
        prelu.slope[0] = 100.0
    with pytest.raises(CompileError, match="no fraction of words of 8 bits fits: a slope of 100 does not fit 16 bits"):
        calibrate(model, images)
    assert fixed_point(model) is None
    assert model(images).dtype == torch.float32


def test_fractions_that_do_not_fit_are_passed_over():
    model, images = trained(widths=(8,))
    with torch.no_grad():
        for parameter in model.stem.norm.parameters():
            parameter.mul_(1e6)
        model.stem.norm.running_var.fill_(1.0)
    with pytest.raises(CompileError):
        agreement(model, images, FixedPoint(9, 10))
    assert calibrate(model, images, 10).fraction < 9
    with pytest.raises(CompileError, match="no fraction of words of 10 bits fits"):
        calibrate(model, images, 10, 9)


def test_a_given_fraction():
    model, images = trained(widths=(8, 16))
    for fraction in (2, 5):
        assert calibrate(model, images, 9, fraction).fraction == fraction
        assert fixed_point(model).fraction == fraction


@pytest.mark.parametrize("method", ["recu", "xu-cheung", "reactnet", "ftbnn", "repbnn"])
def test_batch_norms_behind_convolutions_share_the_smallest_shift(method):
    model, images = trained(method=method, widths=(8, 16))
    set_fixed(model, FixedPoint(5, 8))
    scales = [module.binarize.scale() for module in model.modules() if isinstance(module, ResidualUnit)]
    own = [affine.shift for affine in affines(model)]
    found = common_shift(model, images[:1])
    assert found == min(own) < max(own) and fixed_point(model) == FixedPoint(5, 8)
    assert any(scale is not None for scale in scales) == (method == "xu-cheung")
    fixed = calibrate(model, images)
    assert {affine.shift for affine in affines(model)} == {fixed.shift}
    assert max(np.abs(affine.gain).max() for affine in affines(model)) >= 1 << 14  # no larger one fits


def affines(model):
    """Behind convolutions, maybe with a selection between, in the graph of a model."""
    graph = lower(import_module(model, (8, 8, 1), "net"))
    for node in graph.nodes:
        source = node
        while isinstance(source, ir.Select | ir.MaxPool | ir.Affine):
            source = graph.node(source.source)
        if isinstance(node, ir.Affine) and isinstance(source, ir.Conv):
            yield node


@pytest.mark.parametrize("name, options, stored", [
    ("resnet8", {}, True), ("vgg-tiny", {"method": "sd-bnn"}, True), ("vgg-tiny", {}, False), ("tfc", {}, False)])
def test_layers_whose_words_only_become_bits_keep_their_shifts(name, options, stored):
    model, images = trained(name, **options)
    assert stores_words(model) == stored
    assert (calibrate(model, images[:4], 9).shift is None) == (not stored)


@pytest.mark.parametrize("name, needed", [("cnn", False), ("mlp", False), ("teacher", False), ("tfc", True),
                                          ("vgg-tiny", True), ("resnet8", True)])
def test_needs_format(name, needed):
    assert needs_format(models.build(name)) == needed
