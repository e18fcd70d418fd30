import numpy as np
import pytest
import torch
from torch import nn

from sw import ir, models
from sw.errors import ExportError, UnsupportedLayerError
from sw.frontend.torch_import import import_module
from sw.nn import BinaryConv2d, BinaryLinear, PixelInput, ScoreHead, SignActivation
from sw.passes import lower
from sw.reference import run
from tests.sw.networks import random_images


def settle(model, seed):
    """Give every batch norm random statistics and gains of both signs, with each boundary well between two integers.

    Then float32 cannot round a value across zero, and PyTorch must agree with the integers on every bit.
    """
    random = np.random.default_rng(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            count = module.num_features
            gain = np.float32(random.uniform(0.2, 2, count) * random.choice([-1, 1], count))
            mean = np.float32(random.normal(0, 3, count))
            variance = np.float32(random.uniform(1, 30, count))
            boundary = random.integers(-4, 5, count) + random.uniform(0.3, 0.7, count)
            bias = (mean - boundary) * gain.astype(float) / np.sqrt(variance.astype(float) + module.eps)
            if module.affine:
                module.weight.data.copy_(torch.from_numpy(gain))
                module.bias.data.copy_(torch.from_numpy(bias))
            module.running_mean.copy_(torch.from_numpy(mean if module.affine else boundary))
            module.running_var.copy_(torch.from_numpy(variance))
        if isinstance(module, ScoreHead):
            module.offset.data.copy_(torch.from_numpy(random.uniform(-3, 3, module.features)))
    return model.eval()


def torch_scores(model, images):
    with torch.inference_mode():
        logits = model(torch.from_numpy(images).permute(0, 3, 1, 2))
    scale = next(module.scale for module in model.modules() if isinstance(module, ScoreHead))
    return logits.double().numpy() / scale


def three_orders():
    """Pools before the batch norm, between it and the sign, and behind both; strides; a nested Sequential."""
    return nn.Sequential(
        PixelInput(3), BinaryConv2d(2, 5, 3, padding=1, pad_value=-7), nn.MaxPool2d(2), nn.BatchNorm2d(5),
        SignActivation(), BinaryConv2d(5, 6, 3, padding=1), nn.BatchNorm2d(6), nn.MaxPool2d(2), SignActivation(),
        nn.Sequential(BinaryConv2d(6, 7, 2, stride=2, padding=1), nn.BatchNorm2d(7, affine=False), SignActivation(),
                      nn.MaxPool2d(2)),
        BinaryConv2d(7, 4, 1), SignActivation(), nn.Dropout(), nn.Flatten(), nn.Identity(),
        BinaryLinear(4, 6), nn.BatchNorm1d(6), SignActivation(), BinaryLinear(6, 3), ScoreHead(3, 0.25))


@pytest.mark.parametrize(("build", "shape"), [
    (lambda: models.build("mlp", hidden=(9, 8), bits=1, image=(1, 5, 6), classes=4), (5, 6, 1)),
    (lambda: models.build("mlp", hidden=(9,), bits=8, image=(2, 3, 4), classes=4), (3, 4, 2)),
    (lambda: models.build("cnn", channels=(4, 5, 6), pools=(1, 3), bits=8, image=(1, 10, 11), classes=5), (10, 11, 1)),
    (lambda: models.build("cnn", channels=(3, 4), pools=(2,), bits=2, image=(3, 6, 5), classes=3), (6, 5, 3)),
    (lambda: models.build("cnn", channels=(4, 6, 5), pools=(2,), thermometer=3, strides=(1,), unpadded=(2,),
                          image=(2, 11, 13), classes=4), (11, 13, 2)),
    (three_orders, (13, 14, 2)),
], ids=["mlp", "mlp of a map", "cnn", "cnn of colours", "thermometer", "all orders"])
def test_equals_pytorch(build, shape):
    for seed in range(4):
        torch.manual_seed(seed)
        model = settle(build(), seed)
        graph = lower(import_module(model, shape, "net"))
        images = random_images(seed, shape, count=20)
        result = run(graph, images)
        expected = torch_scores(model, images)
        assert np.array_equal(result.scores, expected), f"seed {seed}"
        assert np.array_equal(result.classes, torch.from_numpy(expected).argmax(1).numpy())


def test_maps_equal_those_of_pytorch():
    """Node by node, before the passes: names are those of the modules."""
    torch.manual_seed(1)
    model = settle(models.build("cnn", channels=(3, 4), pools=(2,), bits=8, image=(1, 7, 6), classes=3), 1)
    images = random_images(1, (7, 6, 1), count=3)
    maps = run(import_module(model, (7, 6, 1), "net"), images, trace=True).maps
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    compared = []
    with torch.inference_mode():
        for name, module in model.named_children():
            x = module(x)
            if name.startswith(("input", "conv", "pool", "sign")):
                assert np.array_equal(maps[name], x.permute(0, 2, 3, 1).numpy()), name
                compared.append(name)
    assert compared == ["input", "conv1", "sign1", "conv2", "pool2", "sign2"]


def test_graph_of_a_cnn():
    model = models.build("cnn", channels=(3, 4), pools=(2,), bits=8, image=(1, 8, 8), classes=5)
    graph = import_module(model, (8, 8, 1), "net")
    assert [(type(node).__name__, node.name, graph.shape(node.name)) for node in graph.nodes] == [
        ("Input", "input", (8, 8, 1)), ("Conv", "conv1", (8, 8, 3)), ("BatchNorm", "norm1", (8, 8, 3)),
        ("Sign", "sign1", (8, 8, 3)), ("Conv", "conv2", (8, 8, 4)), ("MaxPool", "pool2", (4, 4, 4)),
        ("BatchNorm", "norm2", (4, 4, 4)), ("Sign", "sign2", (4, 4, 4)), ("Conv", "head", (1, 1, 5)),
        ("Scores", "scores", (1, 1, 5))]
    assert (graph.node("conv1").pad_value, graph.node("conv2").pad_value) == (-255, 0)
    assert graph.node("norm1").epsilon == 1e-5


def test_flatten_order():
    """Feature ``c * H * W + y * W + x`` of PyTorch is weight ``[y, x, c]``."""
    linear = BinaryLinear(2 * 3 * 4, 1)
    linear.weight.data.fill_(-1)
    linear.weight.data[0, 1 * 12 + 2 * 4 + 3] = 1
    model = nn.Sequential(PixelInput(1), nn.Flatten(), linear, ScoreHead(1, 1.0))
    weights = import_module(model, (3, 4, 2), "net").nodes[1].weights
    assert np.argwhere(weights == 1).tolist() == [[0, 2, 3, 1]]


def test_a_module_that_is_used_twice():
    twice = SignActivation()
    model = nn.Sequential(PixelInput(1), nn.Flatten(), BinaryLinear(6, 4), twice, BinaryLinear(4, 4), twice,
                          BinaryLinear(4, 2), ScoreHead(2, 1.0)).eval()
    graph = lower(import_module(model, (2, 3, 1), "net"))
    images = random_images(1, (2, 3, 1), count=9)
    assert [node.name for node in graph.nodes if isinstance(node, ir.Threshold)] == ["3", "5"]
    assert np.array_equal(run(graph, images).scores, torch_scores(model, images))


def test_zero_latent_weights_and_offset_halves():
    linear, head = BinaryLinear(2, 4), ScoreHead(4, 0.5)
    linear.weight.data[:] = torch.tensor([0.0, -0.0])
    head.offset.data[:] = torch.tensor([0.5, 1.5, -0.5, -1.5])
    graph = import_module(nn.Sequential(PixelInput(1), nn.Flatten(), linear, head), (1, 2, 1), "net")
    assert graph.nodes[1].weights.min() == 1
    assert graph.nodes[2].offsets.tolist() == [0, 2, 0, -2]


def sandwich(*modules, shape=(6, 6, 1)):
    return nn.Sequential(PixelInput(8), *modules), shape


POOL = "is not a square pool whose stride is its size, without padding, dilation or ceil_mode; use MaxPool2d(2)"
REFUSED = {
    "plain layers": (sandwich(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 10),
                              nn.Softmax(dim=1), nn.GRU(1, 1)), [
        "1: Conv2d has no integer equivalent; use sw.nn.BinaryConv2d and train again",
        "2: ReLU has no integer equivalent; use sw.nn.SignActivation and train again",
        "3: AvgPool2d has no integer equivalent; use nn.MaxPool2d, or a Flatten",
        "5: Linear has no integer equivalent; use sw.nn.BinaryLinear and train again",
        "6: Softmax has no integer equivalent; leave it out; the class is the highest score without it",
        ("7: GRU has no integer equivalent; use only PixelInput, ThermometerInput, BinaryConv2d, BinaryLinear, "
         "BatchNorm1d, BatchNorm2d, SignActivation, MaxPool2d, Flatten, ScoreHead, Identity, Dropout, Dropout2d")]),
    "no input": ((nn.Sequential(BinaryConv2d(1, 4, 3), nn.ReLU()), (6, 6, 1)), [
        "0: the first module must be a PixelInput or a ThermometerInput, which says what of a pixel counts",
        "1: ReLU has no integer equivalent; use sw.nn.SignActivation and train again"]),
    "empty": ((nn.Sequential(), (6, 6, 1)), [
        "net: the first module must be a PixelInput or a ThermometerInput, which says what of a pixel counts"]),
    "second input": (sandwich(PixelInput(8)), ["1: a PixelInput behind 0; only the first module can be one"]),
    "subclass": (sandwich(type("Mine", (SignActivation,), {})()), [
        ("1: Mine has no integer equivalent; use only PixelInput, ThermometerInput, BinaryConv2d, BinaryLinear, "
         "BatchNorm1d, BatchNorm2d, SignActivation, MaxPool2d, Flatten, ScoreHead, Identity, Dropout, Dropout2d")]),
    "convolution of a vector": (sandwich(nn.Flatten(), BinaryConv2d(1, 4, 3)), [
        "2: a convolution behind a Flatten; put the Flatten behind the last convolution"]),
    "no flatten": (sandwich(BinaryLinear(6, 4), ScoreHead(4, 1.0)), [
        "1: a fully connected layer takes vectors; put a Flatten before it",
        "2: a ScoreHead takes vectors; put it behind a fully connected layer"]),
    "features": (sandwich(nn.Flatten(), BinaryLinear(35, 4)), [
        "2: takes 35 features, but 0 is 6 x 6 x 1; give it 36"]),
    "channels": (sandwich(BinaryConv2d(3, 4, 3), BinaryConv2d(4, 4, 3, pad_value=0.5, padding=1)), [
        "1: weights take 3 channels, but 0 has 1", "2: pad_value must be an integer, not 0.5"]),
    "pools": (sandwich(nn.MaxPool2d(3, 2), nn.MaxPool2d((2, 1)), nn.MaxPool2d(2, padding=1),
                       nn.MaxPool2d(2, ceil_mode=True)), [
        f"1: MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False) {POOL}",
        f"2: MaxPool2d(kernel_size=(2, 1), stride=(2, 1), padding=0, dilation=1, ceil_mode=False) {POOL}",
        f"3: MaxPool2d(kernel_size=2, stride=2, padding=1, dilation=1, ceil_mode=False) {POOL}",
        f"4: MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=True) {POOL}"]),
    "flatten": (sandwich(nn.Flatten(2)), [
        "1: Flatten(start_dim=2, end_dim=-1) does not make one vector of an image; use Flatten()"]),
    "batch statistics": (sandwich(nn.BatchNorm2d(1, track_running_stats=False)), [
        "1: without running statistics it depends on the batch; use track_running_stats=True"]),
    "in a nested one": (sandwich(nn.Sequential(nn.Sequential(nn.Tanh()))), [
        "1.0.0: Tanh has no integer equivalent; use sw.nn.SignActivation and train again"]),
}


@pytest.mark.parametrize(("given", "reasons"), REFUSED.values(), ids=REFUSED)
def test_refused(given, reasons):
    with pytest.raises(UnsupportedLayerError) as caught:
        import_module(*given, "net")
    assert list(caught.value.reasons) == reasons


def test_no_sequential():
    with pytest.raises(ExportError, match=r"^network net: only an nn.Sequential can be imported, not a Linear; "
                                          r"list its layers in one$"):
        import_module(nn.Linear(1, 1), (1, 1, 1), "net")
