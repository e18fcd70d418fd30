"""``sw.train.compact``: every binary weight of a reloaded file is the one before, for every binarizer."""

import re

import pytest
import safetensors
import torch
from torch import nn

from sw import models
from sw.errors import CompileError
from sw.nn import WEIGHT_BINARIZERS, BinaryConv2d, BinaryLinear, LibraPB, MeanScale, MultiBitConv2d
from sw.train import checkpoint
from sw.train.compact import half_weights
from sw.train.recipes import Recipe

SHAPE = (16, 8, 3, 3)


def random_weights(shape=SHAPE, seed=5):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Rounding to the nearest 16-bit float changes binary weights of the last four, with some binarizer or other.
LATENT = {
    "as trained": random_weights() / 10,
    "small": random_weights() / 10_000,
    "an outlier in each channel": torch.cat([torch.full((16, 1, 3, 3), 900.0), random_weights()[:, 1:] / 1000], 1),
    "all equal": torch.full(SHAPE, 0.3),
    "minus zero": -torch.zeros(SHAPE),
    "below the smallest 16-bit float": random_weights() * 1e-9,
    "close around a mean": 3 + random_weights() / 10_000,
    "above the greatest 16-bit float": random_weights() * 1e6,
    "close around a mean above it": 1e6 + random_weights(),
}
# A scale that is computed of such weights does not survive; the sign alone of Libra-PB's would.
REFUSED = [("mean", "below the smallest 16-bit float"), ("mean", "above the greatest 16-bit float"),
           ("mean", "close around a mean above it"), ("libra-pb", "below the smallest 16-bit float")]


def layers(name, weight):
    """A convolution and a linear layer with these latent weights, and random parameters of the binarizer."""
    conv = BinaryConv2d(*SHAPE[1::-1], SHAPE[2], binarizer=WEIGHT_BINARIZERS[name](16))
    linear = BinaryLinear(weight[0].numel(), 16, WEIGHT_BINARIZERS[name](16))
    with torch.no_grad():
        for layer in (conv, linear):
            layer.weight.copy_(weight.view_as(layer.weight))
            for parameter in layer.binarizer.parameters():
                parameter.copy_(3 * random_weights((16,), 6))
    return nn.Sequential(conv, linear)


@pytest.mark.parametrize("name", WEIGHT_BINARIZERS)
@pytest.mark.parametrize("latent", LATENT)
def test_binary_weights_stay(name, latent):
    model = layers(name, LATENT[latent])
    if (name, latent) in REFUSED:
        expected = "0: its latent weights do not fit 16-bit floats: a scale would change by more than 0.1%; keep the "
        with pytest.raises(CompileError, match=re.escape(expected)):
            half_weights(model)
        return
    before = [(layer.binary_weight().tolist(), layer.scale()) for layer in model]
    found = half_weights(model)
    assert set(found) == {"0.weight", "1.weight"} and {each.dtype for each in found.values()} == {torch.float16}
    model.load_state_dict(found, strict=False)
    for layer, (signs, scale) in zip(model, before):
        assert layer.weight.dtype == torch.float32 and layer.weight.isfinite().all()
        assert layer.binary_weight().tolist() == signs
        if scale is not None:
            assert torch.allclose(layer.scale(), scale, rtol=2 ** -10, atol=0)
            assert name != "libra-pb" or torch.equal(layer.scale(), scale)
    # What is in 16 bits already stays.
    assert all(torch.equal(each, found[key]) for key, each in half_weights(model).items())


@pytest.mark.parametrize("name, latent", [
    ("sign", "below the smallest 16-bit float"), ("libra-pb", "close around a mean"),
    ("wsd", "above the greatest 16-bit float"), ("recu", "close around a mean above it"),
])
def test_rounding_alone_would_change_them(name, latent):
    model = layers(name, LATENT[latent])
    before = model[0].binary_weight().tolist()
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight.clamp(-65504, 65504).half())
    assert model[0].binary_weight().tolist() != before


def test_weights_are_moved_by_as_little_as_it_takes():
    # The least step of 16-bit floats is 2**-24.
    weight = torch.tensor([[1e-9, -1e-9, -1e-12, 0.0, 1.0, -1.0]])
    model = nn.Sequential(BinaryLinear(6, 1))
    with torch.no_grad():
        model[0].weight.copy_(weight)
    assert half_weights(model)["0.weight"].tolist() == [[0.0, -(2.0 ** -24), -(2.0 ** -24), 0.0, 1.0, -1.0]]
    # Rounding takes the first to 1 as well, and it is below the mean no more; the step below 1 is 2**-11.
    model = nn.Sequential(BinaryLinear(4, 1, LibraPB(1)))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.9999, 1.0, 1.0, 1.0]]))
    assert half_weights(model)["0.weight"].tolist() == [[1 - 2.0 ** -11, 1.0, 1.0, 1.0]]


def test_a_power_of_two_that_would_change_is_refused():
    def layer(outlier):
        made = BinaryLinear(8, 1, LibraPB(1))
        with torch.no_grad():
            made.weight.copy_(torch.tensor([[outlier, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]]))
        return made

    # One outlier among equal ones: the further it is, the less mean |v|, which passes 2**-0.5 on its way.
    near, far = 1.0, 100.0
    assert (layer(near).scale().item(), layer(far).scale().item()) == (1.0, 0.5)
    while far - near > 1e-5:
        middle = (near + far) / 2
        near, far = (middle, far) if layer(middle).scale() == 1 else (near, middle)
    # One of both is on the other side once rounded.
    outlier = near if layer(torch.tensor(near).half().item()).scale() == 0.5 else far
    with pytest.raises(CompileError, match="0: .* a scale would change"):
        half_weights(nn.Sequential(layer(outlier)))


def test_binary_weights_that_cannot_stay_are_refused():
    # An infinite weight makes NaN of a channel's mean, and -1 of all its weights, which no finite weights can be.
    layer = BinaryLinear(3, 1, LibraPB(1))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, float("inf"), -1.0]]))
    assert layer.binary_weight().tolist() == [[-1.0, -1.0, -1.0]]
    with pytest.raises(CompileError, match="^1: its latent weights .*: [123] binary weights would change"):
        half_weights(nn.Sequential(nn.Flatten(), layer))


def test_binary_layers_alone():
    model = nn.Sequential(MultiBitConv2d(1, 2, 3), BinaryConv2d(2, 2, 3, binarizer=MeanScale(2)), nn.Conv2d(2, 2, 1),
                          nn.BatchNorm2d(2))
    assert set(half_weights(model)) == {"1.weight"}


@pytest.mark.parametrize("name, method", [("resnet20", "recu"), ("resnet20", "ir-net"), ("resnet20", "reactnet"),
                                          ("resnet20", "sd-bnn"), ("resnet20", "xu-cheung")])
def test_a_file_is_small_and_loads_as_any_other(tmp_path, name, method):
    torch.manual_seed(3)
    recipe = Recipe(name, {"method": method})
    model = models.build(name, **recipe.options).eval()
    metadata = checkpoint.Metadata(recipe, "fashion-mnist", 1, 2)
    content = checkpoint.to_bytes(model.to(memory_format=torch.channels_last), metadata, compact=True)
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    assert len(content) < 1_000_000 < len(checkpoint.to_bytes(model, metadata))
    loaded, found = checkpoint.load(path)
    assert found == metadata and not loaded.training
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    binary = [(mine, theirs) for mine, theirs in zip(model.modules(), loaded.modules())
              if isinstance(mine, BinaryConv2d)]
    assert sum(mine.weight.numel() for mine, _ in binary if mine.weight_bits == 1) == 267_264
    assert all(torch.equal(mine.binary_weight(), theirs.binary_weight()) for mine, theirs in binary)
    assert checkpoint.to_bytes(loaded, metadata, compact=True) == content
    with safetensors.safe_open(path, "pt") as file:
        kinds = {key: file.get_tensor(key).dtype for key in file.keys()}
    halves = {key for key, kind in kinds.items() if kind == torch.float16}
    assert len(halves) == 18 and all(key.endswith("conv.weight") for key in halves)
    assert set(kinds.values()) == {torch.float16, torch.float32}
