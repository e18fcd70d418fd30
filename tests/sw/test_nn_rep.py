"""``sw.nn.rep``: RepTran on models of the library."""

import pytest
import torch
from torch import nn

from sw import models
from sw.errors import CompileError
from sw.models.costs import costs
from sw.nn.conv_norm import ConvNorm
from sw.nn.rep import repeat_channels

#: Models small enough to run, and their images.
SMALL = [
    ("resnet8", {"widths": (16, 32), "image": (1, 8, 8)}, (1, 8, 8)),
    ("resnet18", {"widths": (16, 16, 32), "blocks": 1, "image": (3, 8, 8)}, (3, 8, 8)),
    ("vgg-small", {"widths": (16, 16), "image": (3, 8, 8)}, (3, 8, 8)),
    ("reactnet-a", {"base": 8, "image": (3, 32, 32), "classes": 10}, (3, 32, 32)),
    ("reactnet-resnet18", {"widths": (16, 16), "blocks": 1, "image": (3, 32, 32), "classes": 10}, (3, 32, 32)),
]


@pytest.mark.parametrize("name, options, image", SMALL)
def test_beta_1_is_the_identity(name, options, image):
    model = models.build(name, beta=1, **options)
    modules, state = list(model.modules()), {key: value.clone() for key, value in model.state_dict().items()}
    assert repeat_channels(model, 1) is model
    assert all(one is other for one, other in zip(modules, model.modules(), strict=True))
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())


#: All methods on some models, and on the larger ones those that differ there.
ROWS = [(*small, method) for small in SMALL for method in models.methods.METHODS
        if not small[0].startswith("reactnet") or method in ("reactnet", "repbnn", "ftbnn", "sd-bnn")]


@pytest.mark.parametrize("beta", [2, 4])
@pytest.mark.parametrize("name, options, image, method", ROWS)
def test_weights_and_operations_stay_as_many(name, options, image, method, beta):
    with torch.device("meta"):  # shapes are all that counts
        original, model = (models.build(name, method=method, beta=count, **options) for count in (1, beta))
    plain, found = costs(original, image), costs(model, image)
    real_shortcut = any(module.takes_words for module in model.modules() if isinstance(module, ConvNorm))
    assert (found.binary_weights, found.binary_macs) == (plain.binary_weights, plain.binary_macs)
    assert found.multi_bit_weights > plain.multi_bit_weights  # the last layer's
    assert model.stem.conv.weight.shape == original.stem.conv.weight.shape
    if not real_shortcut:
        head = model.head.weight.numel()
        assert found.multi_bit_weights == plain.multi_bit_weights + head - head // beta
    assert found.real_parameters > plain.real_parameters


@pytest.mark.parametrize("beta", [2, 3])
def test_a_rewritten_network_runs_and_its_copies_differ(beta):
    torch.manual_seed(1)
    model = repeat_channels(models.build("resnet8", image=(1, 8, 8), widths=(6, 12)), beta)
    seen = {}
    for path, module in model.named_modules():
        if isinstance(module, ConvNorm):
            with torch.no_grad():
                module.norm.weight.normal_()
            module.register_forward_hook(lambda module, given, result, path=path: seen.update({path: result}))
    assert model(torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)).shape == (4, 10)
    assert seen["stem"].shape == (4, 6 * beta, 8, 8)
    assert torch.equal(seen["stem"][:, :6], seen["stem"][:, 6:12])
    inner = seen["stage2_block1b.conv"]
    count = 12 // beta  # accumulators, each in beta**2 channels, of batch norms of their own
    assert inner.shape[1] == 12 * beta
    assert not torch.equal(inner[:, :count], inner[:, count:2 * count])
    module = model.stage2_block1b.conv
    with torch.no_grad():
        raw = [(inner[:, j] - module.norm.bias[j]) / module.norm.weight[j] for j in (0, count)]
    torch.testing.assert_close(raw[0], raw[1], rtol=1e-3, atol=1e-3)


def test_twice_two_is_four():
    twice = repeat_channels(repeat_channels(models.build("resnet8", image=(1, 8, 8)), 2), 2)
    once = repeat_channels(models.build("resnet8", image=(1, 8, 8)), 4)
    assert {key: value.shape for key, value in twice.state_dict().items()} == {
        key: value.shape for key, value in once.state_dict().items()}


def test_modules_within_others_are_found():
    model = nn.Sequential(nn.Sequential(nn.Identity(), models.build("resnet8", image=(1, 8, 8))[1]))
    repeat_channels(model, 2)
    assert model[0][1].tile_after == 2


@pytest.mark.parametrize("beta", [0, -1, 1.5, "2", None])
def test_beta_must_be_a_positive_integer(beta):
    with pytest.raises(CompileError, match=f"beta must be a positive integer, not {beta!r}"):
        repeat_channels(nn.Sequential(), beta)


@pytest.mark.parametrize("name, options, message", [
    ("resnet20", {"beta": 3}, "stage1_block1a.conv: beta must divide the 16 output channels of a convolution, not 3"),
    ("resnet20", {"beta": 32}, "; take another beta or other widths"),
    ("vgg-tiny", {"beta": 5}, "layer2.conv: beta must divide the 32 output channels of a convolution, not 5"),
    ("resnet20", {"beta": 8, "groups": 4}, "stage1_block1a.conv: BinaryConv2d groups must divide 128 input and 2 out"),
])
def test_beta_that_does_not_divide(name, options, message):
    with pytest.raises(CompileError) as caught:
        models.build(name, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)
