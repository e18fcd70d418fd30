"""``sw.models``: names, options, topologies and refusals."""

import re

import pytest
import torch
from torch import nn

from sw import models
from sw.errors import CompileError
from sw.frontend.torch_import import import_module
from sw.models import ModelError
from sw.models.methods import METHOD_OPTIONS
from sw.nn import (
    WEIGHT_BINARIZERS,
    BinaryConv2d,
    BinaryLinear,
    MultiBitConv2d,
    PixelInput,
    ReCU,
    ScoreHead,
    SignActivation,
    ThermometerInput,
)
from sw.nn.blocks import DoublingUnit, PairUnit, PlainUnit, ResidualUnit
from sw.nn.head import BinaryHead, MultiBitHead, PooledHead
from sw.nn.nonlinear import Hardtanh
from sw.nn.shortcuts import AveragePool, Pad, Projection, Subsample
from sw.passes import lower
from sw.reference import run

NAMES = ("cnn", "cnv", "lfc", "mlp", "reactnet-a", "reactnet-resnet18", "resnet18", "resnet20", "resnet8", "sfc",
         "teacher", "tfc", "vgg-small", "vgg-tiny")
PLAIN = ("cnn", "mlp", "teacher")

#: Options that make a model small, and its images.
SMALL = {
    "cnn": {"channels": (4, 4), "pools": (1,), "image": (1, 8, 8)}, "cnv": {"widths": (4, 4, 8), "hidden": 8},
    "lfc": {"hidden": 8, "image": (1, 8, 8)}, "mlp": {"hidden": (8,), "image": (1, 8, 8)},
    "reactnet-a": {"base": 4, "image": (3, 32, 32), "classes": 10},
    "reactnet-resnet18": {"widths": (4, 8), "image": (3, 32, 32), "classes": 10},
    "resnet18": {"widths": (4, 8), "image": (3, 8, 8)}, "resnet20": {"widths": (4, 8), "image": (1, 8, 8)},
    "resnet8": {"widths": (4, 8), "image": (1, 8, 8)}, "sfc": {"hidden": 8, "image": (1, 8, 8)},
    "teacher": {"channels": (4, 4), "pools": (1,), "image": (1, 8, 8)}, "tfc": {"hidden": 8, "image": (1, 8, 8)},
    "vgg-small": {"widths": (8, 8), "image": (3, 8, 8)}, "vgg-tiny": {"widths": (8, 8), "image": (1, 8, 8)},
}


def latent(model):
    return sum(layer.weight.numel() for layer in model if isinstance(layer, BinaryConv2d | BinaryLinear))


def test_names():
    assert models.names() == NAMES == tuple(SMALL)
    for name in NAMES:
        assert models.summary(name).endswith(".") and "`" not in models.summary(name)


@pytest.mark.parametrize("name", NAMES)
def test_options(name):
    options = models.options(name)
    assert options["classes"] == (1000 if name.startswith("reactnet") else 10)
    assert len(options["image"]) == 3
    if name in PLAIN:
        assert "method" not in options
    else:
        assert options["method"] in models.methods.METHODS
        assert set(METHOD_OPTIONS) <= set(options) and all(options[option] is None for option in METHOD_OPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_runs_and_learns(name):
    torch.manual_seed(1)
    model = models.build(name, **SMALL[name])
    assert isinstance(next(model.children()), PixelInput)
    image = SMALL[name].get("image", models.options(name)["image"])
    x = torch.randint(0, 256, (4, *image), dtype=torch.uint8)
    logits = model(x)
    assert logits.shape == (4, 10) and logits.dtype == torch.float32
    nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    learning = [path for path, parameter in model.named_parameters() if parameter.grad is None]
    # The scale of the last bits is no part of the scores.
    assert learning in ([], ["head_sign.beta"])
    assert model.eval()(x).shape == (4, 10)


@pytest.mark.parametrize("name, options, binary, norms", [
    ("mlp", {}, 784 * 64 + 64 * 64 * 2 + 64 * 10, 3 * 64),
    ("mlp", {"hidden": (8,), "image": (3, 4, 4), "classes": 2}, 48 * 8 + 8 * 2, 8),
    ("cnn", {}, 9 * 48 + 4 * 9 * 48 * 48 + 3 * 3 * 48 * 10, 5 * 48),
    ("cnn", {"channels": (16, 16, 32, 32), "pools": (2, 4)},
     9 * 16 + 9 * 16 * 16 + 9 * 16 * 32 + 9 * 32 * 32 + 7 * 7 * 32 * 10, 96),
    ("cnn", {"channels": [4], "pools": [], "image": [3, 5, 6], "bits": 2, "classes": 3},
     3 * 4 * 9 + 5 * 6 * 4 * 3, 4),
    ("cnn", {"channels": [4, 5], "pools": [2], "image": [3, 11, 12], "thermometer": 3, "strides": [1],
             "unpadded": [2], "classes": 2}, 9 * 9 * 4 + 9 * 4 * 5 + 2 * 2 * 5 * 2, 9),
])
def test_parameter_counts(name, options, binary, norms):
    model = models.build(name, **options)
    assert latent(model) == binary
    classes = options.get("classes", 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == binary + 2 * norms + classes
    image = options.get("image", (1, 28, 28))
    assert model.eval()(torch.zeros(2, *image, dtype=torch.uint8)).shape == (2, classes)


def test_cnn_modules_in_order():
    model = models.build("cnn", channels=(8, 8), pools=(2,), bits=3)
    assert [name for name, _ in model.named_children()] == [
        "input", "conv1", "norm1", "sign1", "conv2", "pool2", "norm2", "sign2", "flatten", "head", "scores"]
    assert [type(child) for child in model] == [
        PixelInput, BinaryConv2d, nn.BatchNorm2d, SignActivation, BinaryConv2d, nn.MaxPool2d, nn.BatchNorm2d,
        SignActivation, nn.Flatten, BinaryLinear, ScoreHead]
    assert (model.conv1.pad_value, model.conv2.pad_value) == (-7, 0)
    assert model.conv1.padding == model.conv2.padding == 1


def test_cnn_behind_a_thermometer():
    model = models.build("cnn", channels=(8, 6), pools=(), thermometer=4, strides=(1,), unpadded=(2,))
    assert isinstance(model.input, ThermometerInput) and model.input.count == 4
    assert (model.conv1.in_channels, model.conv1.stride, model.conv1.padding, model.conv1.pad_value) == (4, 2, 1, -1)
    assert (model.conv2.stride, model.conv2.padding, model.conv2.pad_value) == (1, 0, 0)
    assert model.head.in_features == 6 * 12 * 12


def test_mlp_modules_in_order():
    assert [name for name, _ in models.build("mlp", hidden=(5, 6)).named_children()] == [
        "input", "flatten", "linear1", "norm1", "sign1", "linear2", "norm2", "sign2", "head", "scores"]


def test_default_cnn_fits_the_weight_memory():
    """512 words of 12 rows x 16 lanes: the largest array of the smallest board."""
    words = 0
    for layer in models.build("cnn"):
        if isinstance(layer, BinaryConv2d | BinaryLinear):
            outputs, inputs = layer.weight.shape[:2]
            if isinstance(layer, BinaryConv2d) and inputs == 1:
                words += -(-outputs // 12)  # one window is one word
            else:
                taps = layer.weight[0].numel()
                words += -(-outputs // 12) * -(-taps // 16)
    assert words == 4 + 4 * 108 + 27 <= 512


def test_resnet20_in_order():
    with torch.device("meta"):
        model = models.build("resnet20")
    assert [name for name, _ in model.named_children()] == [
        "input", "stem", "stem_nonlinearity",
        *(f"stage{stage}_block{block}{half}" for stage in (1, 2, 3) for block in (1, 2, 3) for half in "ab"), "head"]
    units = [module for module in model.modules() if isinstance(module, ResidualUnit)]
    assert len(units) == 18 and all(isinstance(unit.nonlinearity, Hardtanh) for unit in units)
    assert [unit.conv.conv.stride for unit in units] == [1] * 6 + [2] + [1] * 5 + [2] + [1] * 5
    shrinking = [unit.shortcut for unit in units if not isinstance(unit.shortcut, nn.Identity)]
    assert [[type(part) for part in shortcut] for shortcut in shrinking] == [[AveragePool, Pad]] * 2
    assert isinstance(model.stem.conv, MultiBitConv2d) and model.stem.conv.pad_value == -255
    assert isinstance(model.head, PooledHead) and (model.head.side, model.head.channels) == (7, 64)
    assert model.head.norm is not None and isinstance(units[0].conv.conv.binarizer, ReCU)


def test_resnet18_of_ir_net_is_single_with_real_strided_shortcuts():
    with torch.device("meta"):
        model = models.build("resnet18", method="ir-net")
    units = [module for module in model if isinstance(module, PairUnit)]
    assert len(units) == 8 and len([module for module in model.modules() if isinstance(module, PlainUnit)]) == 16
    shrinking = [unit.shortcut for unit in units if not isinstance(unit.shortcut, nn.Identity)]
    assert [(type(shortcut), type(shortcut.pool)) for shortcut in shrinking] == [(Projection, Subsample)] * 3
    with torch.device("meta"):
        assert not any(isinstance(module, PairUnit) for module in models.build("resnet20", method="ir-net"))


@pytest.mark.parametrize("image, padding, side", [(28, 3, 4), (32, 1, 4), (24, 1, 3), (26, 4, 4)])
def test_resnet18_pads_images(image, padding, side):
    with torch.device("meta"):
        model = models.build("resnet18", image=(1, image, image))
    assert (model.stem.conv.padding, model.head.side) == (padding, side)


def test_reactnet_a_in_order():
    with torch.device("meta"):
        model = models.build("reactnet-a")
    assert model.stem.conv.stride == 2 and not hasattr(model, "stem_nonlinearity")
    blocks = [module for module in model if isinstance(module, ResidualUnit | DoublingUnit)]
    assert len(blocks) == 26
    depths = [module.left.out_channels * 2 if isinstance(module, DoublingUnit) else module.conv.out_channels
              for module in blocks[1::2]]
    assert depths == [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    assert [isinstance(module, DoublingUnit) for module in blocks[1::2]] == [
        True, True, False, True, False, True, *[False] * 5, True, False]
    assert [module.conv.conv.stride for module in blocks[::2]] == [1, 2, 1, 2, 1, 2, *[1] * 5, 2, 1]
    assert model.head.side == 7 and model.head.norm is None


def test_ftbnn_in_reactnet_a_has_the_nonlinearity_before_the_sum_and_shuffles_everywhere():
    model = models.build("reactnet-a", method="ftbnn", base=2, image=(3, 32, 32))
    for module in model:
        if isinstance(module, ResidualUnit | DoublingUnit):
            assert module.before and module.shuffle.groups == 4


def test_vgg_small_in_order():
    with torch.device("meta"):
        model = models.build("vgg-small")
    assert [(module.conv.conv.in_channels, module.conv.conv.out_channels, module.conv.pool)
            for module in model if isinstance(module, PlainUnit)] == [
        (128, 128, 2), (128, 256, 1), (256, 256, 2), (256, 512, 1), (512, 512, 2)]
    assert isinstance(model.head, MultiBitHead) and model.head.weight.shape == (10, 512, 4, 4)
    assert isinstance(models.build("vgg-tiny", head_bits=1).head, BinaryHead)


@pytest.mark.parametrize("image, padding", [(32, 0), (28, 2), (16, 8)])
def test_cnv_pads_images(image, padding):
    model = models.build("cnv", image=(1, image, image), **SMALL["cnv"])
    assert model.stem.conv.padding == padding
    assert model(torch.zeros(2, 1, image, image, dtype=torch.uint8)).shape == (2, 10)


@pytest.mark.parametrize("name, options, message", [
    ("cnnn", {}, f"unknown model: 'cnnn'; did you mean 'cnn'? There are: {', '.join(NAMES)}"),
    ("resnet-20", {}, "unknown model: 'resnet-20'; did you mean 'resnet20'?"),
    ("zzz", {}, "unknown model: 'zzz'. There are: cnn, cnv"),
    ("cnn", {"chanels": (1,)},
     "unknown option of cnn: 'chanels'; did you mean 'channels'? There are: channels, pools, bits"),
    ("mlp", {"hidden": 64}, "mlp: the options {'hidden': 64} are not of the types in its defaults"),
    ("mlp", {"hidden": ()}, "mlp: hidden (), image (1, 28, 28) and classes 10 must be"),
    ("mlp", {"bits": 9}, "bits 1 to 8, not 9"),
    ("mlp", {"image": (28, 28)}, "image (28, 28)"),
    ("cnn", {"channels": (4, 0)}, "cnn: channels (4, 0), image"),
    ("cnn", {"bits": 0}, "bits 1 to 8, not 0"),
    ("cnn", {"image": (1, 28)}, "image (1, 28)"),
    ("cnn", {"pools": (6,)},
     "cnn: pools (6,) must name convolutions 1 to 5"),
    ("cnn", {"strides": (0,)}, "cnn: strides (0,) must name convolutions 1 to 5"),
    ("cnn", {"unpadded": (1, 7)}, "cnn: unpadded (1, 7) must name convolutions 1 to 5"),
    ("cnn", {"thermometer": 9}, "cnn: thermometer must be 0, for none, or 1 to 8 bits, not 9"),
    ("cnn", {"image": (1, 8, 9), "unpadded": (1, 2, 3, 4)},
     "unpadded (1, 2, 3, 4) and pools (2, 4, 5) leave no pixel of 8 x 9 behind convolution 3; list fewer"),
    ("cnn", {"pools": (0,)}, "cnn: pools (0,) must name convolutions 1 to 5"),
    ("cnn", {"image": (1, 7, 28)}, "leave no pixel of 7 x 28 behind convolution 5; list fewer"),
    ("resnet20", {"method": "irnet"}, "resnet20: unknown method: 'irnet'; did you mean 'ir-net'? There are: ir-"),
    ("resnet20", {"weights": "libra"}, "resnet20: unknown weights: 'libra'; did you mean 'libra-pb'? There are"),
    ("resnet20", {"activations": "r-sign"}, "resnet20: unknown activations: 'r-sign'; did you mean 'rsign'?"),
    ("resnet20", {"nonlinearity": "tanh"}, "resnet20: unknown nonlinearity: 'tanh'; did you mean 'hardtanh'?"),
    ("resnet20", {"shortcut": "average"}, "resnet20: unknown shortcut: 'average'; did you mean 'average-pad'?"),
    ("resnet20", {"widht": 2}, "unknown option of resnet20: 'widht'; did you mean 'width'?"),
    ("resnet20", {"beta": 0}, "resnet20: beta must be a positive integer, not 0"),
    ("resnet20", {"width": 1.5}, "resnet20: width must be a positive integer, not 1.5"),
    ("resnet20", {"groups": -1}, "resnet20: groups must be a positive integer, not -1"),
    ("resnet20", {"groups": 3}, "groups must divide 16 input and 16 output channels, not 3; take other groups"),
    ("resnet20", {"beta": 3}, "beta must divide the 16 output channels"),
    ("resnet20", {"stem_bits": 9}, "stem_bits must be 1 to 8, not 9"),
    ("vgg-small", {"stem_bits": 0}, "stem_bits must be 1 to 8, not 0"),
    ("resnet20", {"bits": 9}, "resnet20: bits must be 1 to 8, not 9"),
    ("resnet20", {"image": (1, 28, 24)}, "resnet20: image must be (C, H, W), all at least 1 and H = W"),
    ("resnet20", {"image": (28, 28)}, "resnet20: image must be (C, H, W)"),
    ("resnet20", {"image": (1, 29, 29)}, "resnet20: images of side 29 cannot be padded evenly to 32; give"),
    ("resnet20", {"classes": 0}, "and classes at least 1, not (1, 28, 28) and 0"),
    ("resnet20", {"widths": ()}, "resnet20: widths () and blocks 3 must be at least 1"),
    ("resnet20", {"widths": (16, 0)}, "resnet20: widths (16, 0) and blocks 3 must be at least 1"),
    ("resnet20", {"blocks": 0}, "and blocks 0 must be at least 1"),
    ("resnet20", {"widths": (32, 16)}, "shortcut average-pad: Pad cannot make 16 channels of 32; take widths that"),
    ("reactnet-resnet18", {"widths": ()}, "reactnet-resnet18: widths () and blocks 2 must be at least 1"),
    ("reactnet-resnet18", {"image": (3, 200, 200)}, "the side of images must be a multiple of 32, not 200; give"),
    ("reactnet-resnet18", {"widths": (8,) * 5, "image": (3, 32, 32)}, "must be a multiple of 64, not 32"),
    ("reactnet-a", {"image": (3, 100, 100)}, "reactnet-a: the side of images must be a multiple of 32 and base"),
    ("reactnet-a", {"base": 0}, "base at least 1, not 224 and 0"),
    ("cnv", {"image": (1, 27, 27)}, "cnv: images must have an even side of at most 32, not 27; give --image-size 32"),
    ("cnv", {"image": (3, 64, 64)}, "cnv: images must have an even side of at most 32, not 64"),
    ("cnv", {"widths": (8, 8)}, "cnv: widths must be three, and they and hidden at least 1, not (8, 8) and 512"),
    ("cnv", {"hidden": 0}, "not (64, 128, 256) and 0"),
    ("tfc", {"layers": 0}, "tfc: hidden and layers must be at least 1, not 64 and 0"),
    ("vgg-small", {"image": (3, 4, 4)}, "vgg-small: widths (128, 256, 512) must be at least 1 and leave a pixel"),
    ("vgg-small", {"head_bits": 4}, "and head_bits 1 or 8, not 4"),
    ("teacher", {"dropout": 1}, "and dropout from 0 to below 1, not 1"),
    ("teacher", {"pools": (9,)}, "teacher: pools (9,) must name convolutions 1 to 5"),
])
def test_refusals(name, options, message):
    with pytest.raises(CompileError) as caught:
        models.build(name, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    if message.startswith(("unknown model", "unknown option")):
        assert isinstance(caught.value, ModelError)


def test_unknown_name_in_options_and_summary():
    for function in (models.options, models.summary):
        with pytest.raises(ModelError, match=re.escape("unknown model: 'x'")):
            function("x")


@pytest.mark.parametrize("weights", ["sign", "libra-pb", "recu"])
def test_cnn_takes_binarizers_without_a_scale(weights):
    model = models.build("cnn", channels=(4, 6), pools=(2,), image=(1, 8, 8), weights=weights)
    kinds = {type(module.binarizer) for module in model.modules() if hasattr(module, "binarizer")}
    assert kinds == {WEIGHT_BINARIZERS[weights]}
    model(torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8))
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    graph = lower(import_module(model.eval(), (8, 8, 1), "cnn"))  # refused if there were a scale
    scores = run(graph, images.permute(0, 2, 3, 1).numpy()).scores
    with torch.inference_mode():
        assert torch.equal(model(images) / model.scores.scale, torch.from_numpy(scores).float())
