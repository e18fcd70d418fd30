"""``sw.frontend.integer_import``: PyTorch in integer mode is the integer reference, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sw import ir, models
from sw.errors import CompileError, UnsupportedLayerError
from sw.frontend.integer_import import HANDLERS, import_integers
from sw.models.methods import METHODS
from sw.nn import WEIGHT_BINARIZERS, set_real_weights
from sw.nn.activations import ACTIVATION_BINARIZERS, ActivationBinarizer
from sw.nn.fixed import FixedPoint, set_fixed
from sw.nn.nonlinear import NONLINEARITIES, RPReLU
from sw.nn.shortcuts import SHORTCUTS
from sw.passes import lower
from sw.quantise import common_shift
from sw.reference import run

#: Small models of each family, with channels that beta 4, or beta 2 with groups of 2, divide.
FAMILIES = {
    "resnet8": {"image": (1, 8, 8), "widths": (8, 16)},
    "resnet18": {"image": (3, 6, 6), "widths": (8, 8), "blocks": 1},
    "reactnet-a": {"image": (3, 32, 32), "base": 4, "classes": 5},
    "reactnet-resnet18": {"image": (1, 16, 16), "widths": (8, 16), "blocks": 1, "classes": 5},
    "vgg-tiny": {"image": (1, 8, 8), "widths": (8, 16)},
    "vgg-small": {"image": (3, 7, 7), "widths": (8, 8)},
    "cnv": {"image": (1, 28, 28), "widths": (4, 8, 8), "hidden": 8},
    "tfc": {"image": (1, 6, 6), "hidden": 8},
}


def made(name, seed, options):
    """A model in eval mode with random parameters and statistics near those of its data, and images."""
    torch.manual_seed(seed)
    model = models.build(name, **{**FAMILIES[name], **options})
    images = torch.randint(0, 256, (2, *FAMILIES[name]["image"]), dtype=torch.uint8)
    images[0, :, :2] = 255
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = 0.7
        model.train()(images)
        model(images.flip(0, 2))
        for parameter in model.parameters():
            if parameter.ndim <= 1:  # batch norms, scales, slopes, shifts
                parameter.add_(torch.randn(parameter.shape) * 0.3)
                parameter[torch.rand(parameter.shape) < 0.1] *= -1
                parameter[torch.rand(parameter.shape) < 0.05] = 0
    return model.eval(), images


def check(name, seed, fixed, shared=None, **options):
    """Scores, maps of signs, and scores behind the passes; returns the graph.

    With ``shared`` all batch norms have the smallest shift of all, less that.
    """
    model, images = made(name, seed, options)
    set_fixed(model, fixed)
    if shared is not None:
        fixed = replace(fixed, shift=max(0, common_shift(model, images[:1]) - shared))
        set_fixed(model, fixed)
    seen = {}
    for path, module in model.named_modules():
        if isinstance(module, ActivationBinarizer):
            module.register_forward_hook(lambda module, given, result, path=path: seen.update({path: result}))
    with torch.inference_mode():
        scores = model(images)
    channels, height, width = FAMILIES[name]["image"]
    graph = import_integers(model, (height, width, channels), "random")
    pixels = images.permute(0, 2, 3, 1).numpy()
    result = run(graph, pixels, trace=True)
    assert np.array_equal(result.scores, scores.numpy()), "scores"
    assert seen
    for path, maps in seen.items():
        assert np.array_equal(result.maps[path], maps.permute(0, 2, 3, 1).numpy()), path
    assert set(np.unique(np.concatenate([maps.numpy().ravel() for maps in seen.values()]))) <= {-1, 1}
    if len(graph.nodes) < 400:  # the larger ones only repeat themselves
        assert np.array_equal(run(lower(graph), pixels).scores, result.scores), "passes"
    return graph


@st.composite
def networks(draw):
    """A family, and any combination of parts that it takes."""
    family = draw(st.sampled_from(["resnet8"] * 5 + ["vgg-tiny", "resnet18", "tfc", "reactnet-resnet18"]))
    choose = {
        "weights": sorted(WEIGHT_BINARIZERS), "activations": sorted(ACTIVATION_BINARIZERS),
        "nonlinearity": sorted(NONLINEARITIES), "shortcut": sorted(SHORTCUTS), "before": [False, True],
        "double": [False, True], "beta": [1, 1, 2, 4], "width": [1, 2],
    }
    options = {key: draw(st.sampled_from(values)) for key, values in choose.items()}
    options["groups"] = draw(st.sampled_from({1: [1, 2, 4], 2: [1, 2], 4: [1]}[options["beta"]]))
    options["bits"] = draw(st.integers(1, 8))
    if family != "tfc":
        options["stem_bits"] = draw(st.integers(1, 8))
    if family == "vgg-tiny":
        options["head_bits"] = draw(st.sampled_from([1, 8]))
    bits = draw(st.integers(4, 16))
    return family, options, FixedPoint(draw(st.integers(1, min(bits, 9))), bits), draw(st.sampled_from([None, 0, 6]))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(networks(), st.integers(0, 1000))
def test_random_networks(network, seed):
    family, options, fixed, shared = network
    check(family, seed, fixed, shared, **options)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_methods(method, family):
    options = {}
    if method == "ftbnn" and family in ("cnv", "tfc", "reactnet-a"):
        options = {"groups": 2}  # whose channels are few
    graph = check(family, 7, FixedPoint(5, 9), method=method, **options)
    assert isinstance(graph.nodes[-1], ir.Scores)


@pytest.mark.parametrize("fixed", [FixedPoint(1, 4), FixedPoint(12, 24), FixedPoint(9, 8)], ids=str)
@pytest.mark.parametrize("method", ["recu", "sd-bnn", "insta-plus"])
def test_narrow_and_wide_words(method, fixed):
    check("resnet8", 3, fixed, method=method, shortcut="real")


def test_negative_scale_of_bits_before_a_pool():
    """The least sum of a window is the greatest then."""
    torch.manual_seed(1)
    model, images = made("vgg-tiny", 2, {"method": "xu-cheung"})
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, ACTIVATION_BINARIZERS["trainable"]):
                module.beta.fill_(-0.6)
        real = model(images)
    set_fixed(model, FixedPoint(12, 18))
    with torch.no_grad():
        scores = model(images)
    graph = import_integers(model, (8, 8, 1), "negative")
    assert np.array_equal(run(graph, images.permute(0, 2, 3, 1).numpy()).scores, scores.numpy())
    torch.testing.assert_close((scores * model.head.scale).float(), real, rtol=0, atol=0)


def test_names_are_paths_of_modules():
    model = models.build("resnet8", method="reactnet", **FAMILIES["resnet8"])
    set_fixed(model, FixedPoint())
    graph = import_integers(model, (8, 8, 1), "names")
    names = [node.name for node in graph.nodes]
    assert names[:3] == ["input", "stem.conv", "stem.norm"] and names[-1] == "head"
    paths = {path for path, _ in model.named_modules()}
    assert all(any(name == path or name.startswith(f"{path}.") for path in paths if path) for name in names)
    assert {"stage1_block1a.binarize", "stage2_block1a.shortcut.0", "stage1_block1b.nonlinearity.after",
            "stage1_block1b.add"} <= set(names)
    assert (graph.name, graph.inputs.shape, graph.inputs.bits) == ("names", (8, 8, 1), 8)


def test_every_part_of_the_library_has_a_handler():
    parts = {*ACTIVATION_BINARIZERS.values(), *NONLINEARITIES.values()}
    parts |= {type(SHORTCUTS[name](2, 4, 2, WEIGHT_BINARIZERS["sign"](4))) for name in SHORTCUTS}
    assert parts - {nn.Sequential} <= set(HANDLERS) and len(parts) > 15


def small():
    model = models.build("resnet8", method="reactnet", **FAMILIES["resnet8"])
    set_fixed(model, FixedPoint())
    return model


def test_without_a_format():
    model = small()
    set_fixed(model, None)
    with pytest.raises(CompileError, match="network mine: its real values have no format yet; choose one with sw.q"):
        import_integers(model, (8, 8, 1), "mine")


def test_foreign_modules_are_named():
    model = small()
    model.stage1_block1a.shortcut = nn.Tanh()
    with pytest.raises(UnsupportedLayerError) as caught:
        import_integers(model, (8, 8, 1), "mine")
    assert caught.value.reasons == (
        "stage1_block1a.shortcut: Tanh has no integer equivalent; build the model from the parts of sw.nn",)


@pytest.mark.parametrize("what, reason", [
    (lambda module: module.slope.data.fill_(50), "stage1_block1a: a slope of 50 does not fit 16 bits"),
    (lambda module: module.slope.data.fill_(float("nan")), "stage1_block1a: a slope of nan does not fit"),
    (lambda module: module.after.data.fill_(float("inf")), "stage1_block1a: its constants are no finite numbers"),
])
def test_constants_that_do_not_fit_are_named(what, reason):
    model = small()
    what(next(module for module in model.modules() if isinstance(module, RPReLU)))
    with pytest.raises(UnsupportedLayerError) as caught:
        import_integers(model, (8, 8, 1), "mine")
    assert caught.value.reasons[0].startswith(reason) and len(caught.value.reasons) == 1


def test_a_threshold_beyond_32_bits_is_refused():
    model = small()
    with torch.no_grad():
        model.stage1_block1a.binarize.beta[0] = 1e10
    with pytest.raises(UnsupportedLayerError, match="thresholds must be finite numbers that int32 holds exactly"):
        import_integers(model, (8, 8, 1), "mine")


def test_real_weights_are_refused():
    model = small()
    set_real_weights(model, True)
    with pytest.raises(UnsupportedLayerError, match="stage1_block1a: .*real weights of the first of two"):
        import_integers(model, (8, 8, 1), "mine")


@pytest.mark.parametrize("name, message", [
    ("vgg-tiny", "head: scores need a 1 x 1 map, but head.conv is 2 x 2"),
    ("tfc", "head: scores need a 1 x 1 map, but head.conv is 7 x 7"),
])
def test_images_of_another_size_are_refused(name, message):
    model = models.build(name, **FAMILIES[name])
    set_fixed(model, FixedPoint())
    with pytest.raises(UnsupportedLayerError, match=message):
        import_integers(model, (12, 12, 1), "mine")
