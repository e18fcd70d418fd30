"""``sw.models.costs``: the counts of the papers, exactly, and what a model needs of hardware."""

import pytest
import torch
from torch import nn

from sw import models
from sw.models.costs import Costs, costs, units
from sw.nn.fixed import FixedPoint, fixed_point, set_fixed


def counted(name, image, **options):
    """Of a model on no memory, for shapes are all that counts."""
    with torch.device("meta"):
        return costs(models.build(name, image=image, **options), image)


@pytest.mark.parametrize("method", ["recu", "repbnn", "ir-net", "reactnet"])
def test_resnet20(method):
    found = counted("resnet20", (3, 32, 32), method=method)
    beta = 2 if method == "repbnn" else 1
    assert (found.binary_weights, found.binary_macs) == (267_264, 40_108_032)
    assert found.multi_bit_weights == 3 * 16 * 9 + 64 * 10 * beta
    assert found.multi_bit_macs == 32 * 32 * 3 * 16 * 9 + 64 * 10 * beta


def test_resnet20_of_repbnn_has_a_head_of_1290_parameters():
    with torch.device("meta"):
        head = models.build("resnet20", method="repbnn").head
    assert head.weight.numel() + head.bias.numel() == 1290 and head.norm.num_features == 128


@pytest.mark.parametrize("method, ops", [("reactnet", 0.871e8), ("adambnn", 0.871e8), ("repbnn", 0.8815e8)])
def test_reactnet_a(method, ops):
    found = counted("reactnet-a", (3, 224, 224), method=method)
    assert found.binary_weights == 28_253_184
    assert found.binary_macs == pytest.approx(4.817e9, rel=1e-4)
    assert found.ops == pytest.approx(ops, rel=6e-4)
    if method != "repbnn":
        # Stem of 10.84 M, and 1,024 features to 1,000 classes.
        assert found.multi_bit_macs == 112 * 112 * 32 * 27 + 1_024_000
        assert found.multi_bit_macs - 1_024_000 == pytest.approx(10.84e6, rel=1e-3)


def test_parameters_of_reactnet_a():
    """Batch norms of the stem and of 39 convolutions, signs, and RPReLUs; mean scales are none that is trained."""
    with torch.device("meta"):
        plain, repeated = (models.build("reactnet-a", method=method) for method in ("reactnet", "repbnn"))
    heads = [model.head.weight.numel() + model.head.bias.numel() for model in (plain, repeated)]
    assert heads == [1_025_000, 2_049_000]
    small = [costs(model, (3, 224, 224)).real_parameters - 1000 - 2 * 32 for model in (plain, repeated)]
    assert small[1] == 2 * small[0]


def test_reactnet_resnet18():
    found = counted("reactnet-resnet18", (3, 224, 224))
    assert found.binary_weights == 10_985_472
    assert found.binary_macs == pytest.approx(1.676e9, rel=3e-4)
    assert found.ops == pytest.approx(1.64e8, rel=5e-3)
    assert found.multi_bit_weights == 64 * 147 + 64 * 128 + 128 * 256 + 256 * 512 + 512_000


@pytest.mark.parametrize("name, image, weights, macs", [
    ("vgg-small", (3, 32, 32), 4_571_136, 603_979_776),
    ("resnet18", (3, 32, 32), 10_985_472, 547_356_672),
    ("resnet8", (3, 32, 32), 73_728, None),
    ("cnv", (3, 32, 32), 1_542_848, None),
    ("tfc", (1, 28, 28), 59_008, 59_008 - 784 * 64),
    ("sfc", (1, 28, 28), 334_336, 334_336 - 784 * 256),
    ("lfc", (1, 28, 28), 2_910_208, 2_910_208 - 784 * 1024),
    ("mlp", (1, 28, 28), 59_008, 59_008 - 784 * 64),
    ("cnn", (1, 28, 28), 9 * 48 + 4 * 9 * 48 * 48 + 9 * 48 * 10, None),
])
def test_weights(name, image, weights, macs):
    found = counted(name, image)
    assert found.binary_weights == weights
    assert macs is None or found.binary_macs == macs


def test_cnv_operations():
    """The first layer, whose pixels have 8 bits, counts as multi-bit."""
    found = counted("cnv", (3, 32, 32))
    maps = ((28, 64, 64), (12, 64, 128), (10, 128, 128), (3, 128, 256), (1, 256, 256))
    assert found.binary_macs == sum(9 * side * side * depth * width for side, depth, width in maps) + (
        256 * 512 + 512 * 512 + 5120)
    assert (found.multi_bit_macs, found.multi_bit_weights) == (30 * 30 * 64 * 27, 0)


@pytest.mark.parametrize("name, weights", [("resnet20", 3552)])
def test_small_layers_of_sd_bnn(name, weights):
    found, plain = (counted(name, (3, 32, 32), method="sd-bnn", activations=activations)
                    for activations in ("asd", "sign"))
    assert found.real_parameters - plain.real_parameters == weights
    assert found.multi_bit_macs - plain.multi_bit_macs == weights  # once an image
    assert (found.binary_weights, found.multi_bit_weights) == (plain.binary_weights, plain.multi_bit_weights)


def test_groups_and_width_keep_binary_operations():
    plain, wide = (counted("resnet20", (3, 32, 32), method="ftbnn", shortcut="average-pad", groups=groups, width=width)
                   for groups, width in ((1, 1), (4, 2)))
    assert (wide.binary_weights, wide.binary_macs) == (plain.binary_weights, plain.binary_macs)


def test_a_teacher_is_all_multi_bit():
    found = costs(models.build("teacher", channels=(4, 6), pools=(1, 2), image=(1, 8, 8)), (1, 8, 8))
    assert (found.binary_weights, found.binary_macs) == (0, 0)
    assert found.multi_bit_weights == 36 + 4 * 6 * 9 + 6 * 10
    assert found.multi_bit_macs == 64 * 36 + 16 * 4 * 6 * 9 + 60


def test_all_parameters_are_counted():
    for name in ("resnet8", "vgg-tiny", "tfc", "mlp", "teacher"):
        model = models.build(name)
        found = costs(model, (1, 28, 28))
        assert found.binary_weights + found.multi_bit_weights + found.real_parameters == sum(
            parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("fixed", [None, FixedPoint(5, 9)])
@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_is(fixed, training):
    model = models.build("resnet8", image=(1, 8, 8), method="insta-plus")
    set_fixed(model, fixed)
    model.train(training)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    found = costs(model, (1, 8, 8))
    assert found == costs(models.build("resnet8", image=(1, 8, 8), method="insta-plus"), (1, 8, 8))
    assert fixed_point(model) == fixed and all(module.training == training for module in model.modules())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_model_is_left_as_it_is_after_an_error():
    model = models.build("resnet8", image=(1, 8, 8))
    set_fixed(model, FixedPoint())
    with pytest.raises(RuntimeError):
        costs(model, (5, 8, 8))
    assert fixed_point(model) == FixedPoint() and not any(module._forward_hooks for module in model.modules())


def test_operations():
    assert Costs(0, 0, 0, 640, 3).ops == 13


RESIDUAL = {"residual memory", "post-processing (batch norm, shortcut)", "multi-bit weights"}


@pytest.mark.parametrize("name, options, expected", [
    ("mlp", {}, set()), ("cnn", {}, set()), ("tfc", {}, set()), ("cnv", {}, set()), ("vgg-tiny", {}, set()),
    ("vgg-small", {}, {"multi-bit weights"}),
    ("vgg-tiny", {"method": "sd-bnn"}, {"post-processing (batch norm, shortcut)", "statistics (sum)",
                                        "small layers and table"}),
    ("vgg-tiny", {"beta": 2}, {"channel tiling"}),
    ("resnet8", {"method": "ir-net"}, RESIDUAL),
    ("resnet8", {"method": "recu"}, RESIDUAL | {"average pool"}),
    ("resnet8", {"method": "repbnn"}, RESIDUAL | {"average pool", "channel tiling"}),
    ("resnet18", {"method": "ir-net", "widths": (16, 32)}, RESIDUAL),
    ("resnet8", {"method": "sd-bnn"}, RESIDUAL | {"statistics (sum)", "small layers and table"}),
    ("reactnet-a", {"base": 8}, RESIDUAL | {"average pool", "slope multiplier", "shifted signs"}),
    ("resnet8", {"method": "ftbnn"}, RESIDUAL | {"average pool", "slope multiplier", "groups and shuffle"}),
    ("resnet8", {"method": "insta"}, RESIDUAL | {"average pool", "slope multiplier", "statistics (third moment)",
                                                 "run-time shifts"}),
    ("resnet8", {"method": "insta-plus"}, RESIDUAL | {
        "average pool", "slope multiplier", "statistics (third moment)", "run-time shifts", "small layers and table"}),
])
def test_units(name, options, expected):
    found = units(models.build(name, **options))
    assert set(found) == expected and len(found) == len(expected)


def test_units_of_nothing():
    assert units(nn.Sequential()) == ()
