"""``sw.models``: topologies, sizes and refusals."""

import re

import pytest
import torch
from torch import nn

from sw import models
from sw.errors import CompileError
from sw.models import ModelError
from sw.models.scale import score_scale
from sw.nn import BinaryConv2d, BinaryLinear, PixelInput, ScoreHead, SignActivation


def latent(model):
    return sum(layer.weight.numel() for layer in model if isinstance(layer, BinaryConv2d | BinaryLinear))


def test_names():
    assert models.names() == ("cnn", "mlp")
    for name in models.names():
        assert models.summary(name).endswith(".")
        assert models.options(name)["classes"] == 10


@pytest.mark.parametrize("name, options, binary, norms", [
    ("mlp", {}, 784 * 64 + 64 * 64 * 2 + 64 * 10, 3 * 64),
    ("mlp", {"hidden": (8,), "image": (3, 4, 4), "classes": 2}, 48 * 8 + 8 * 2, 8),
    ("cnn", {}, 9 * 48 + 4 * 9 * 48 * 48 + 3 * 3 * 48 * 10, 5 * 48),
    ("cnn", {"channels": (16, 16, 32, 32), "pools": (2, 4)},
     9 * 16 + 9 * 16 * 16 + 9 * 16 * 32 + 9 * 32 * 32 + 7 * 7 * 32 * 10, 96),
    ("cnn", {"channels": [4], "pools": [], "image": [3, 5, 6], "bits": 2, "classes": 3},
     3 * 4 * 9 + 5 * 6 * 4 * 3, 4),
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


@pytest.mark.parametrize("features", [1, 2, 3, 64, 432, 1568, 65536])
def test_score_scale_is_the_nearest_power_of_two(features):
    scale = score_scale(features)
    ScoreHead(10, scale)
    assert 2 ** -0.5 <= scale * features ** 0.5 <= 2 ** 0.5


@pytest.mark.parametrize("name, options, message", [
    ("cnnn", {}, "unknown model: 'cnnn'; did you mean 'cnn'? There are: cnn, mlp"),
    ("resnet", {}, "unknown model: 'resnet'. There are: cnn, mlp"),
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
     "cnn: pools (6,) must name convolutions 1 to 5 and leave at least one pixel of 28 x 28"),
    ("cnn", {"pools": (0,)}, "cnn: pools (0,) must name convolutions 1 to 5"),
    ("cnn", {"image": (1, 7, 28)}, "leave at least one pixel of 7 x 28"),
])
def test_refusals(name, options, message):
    with pytest.raises(CompileError) as caught:
        models.build(name, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    if message.startswith("unknown"):
        assert isinstance(caught.value, ModelError)


def test_unknown_name_in_options_and_summary():
    for function in (models.options, models.summary):
        with pytest.raises(ModelError, match=re.escape("unknown model: 'x'")):
            function("x")
