"""``sw.nn.activations`` against one value at a time, and gradients against finite differences of the surrogates."""

import math

import pytest
import torch

from sw.nn import EDESchedule, LongTail
from sw.nn.activations import ACTIVATION_BINARIZERS, ASD, NormalisedSign, RSign, ScaledSign
from sw.nn.estimators import ApproxSign
from sw.nn.fixed import FixedPoint, set_fixed
from tests.sw.scalar_words import each, half_up, random_words

SHIFTS = [0.4, -0.3, 0.0078125]


def make(name, estimator=None):
    torch.manual_seed(1)
    module = ACTIVATION_BINARIZERS[name](3, *([] if estimator is None else [estimator])).eval()
    with torch.no_grad():
        if name == "rsign":
            module.beta.copy_(torch.tensor(SHIFTS))
        if name == "asd":
            module.shift.squeeze.weight.copy_(torch.tensor([[1.0, 0.5, 1.5]]))  # alive for some images
            module.shift.excite.weight.mul_(4)
        if name.startswith("insta"):
            module.threshold.gain.copy_(torch.tensor([0.6, -0.4, 0.0]))
            module.threshold.bias.copy_(torch.tensor(SHIFTS))
    return module


def surrogate(x):
    """Of ApproxSign."""
    return math.copysign(1, x) if abs(x) > 1 else x * (2 - abs(x))


def moved(name, module, x):
    """The values of which the sign is taken, ``[n][c][y][x]``, of a tensor."""
    if name == "rsign":
        return each(lambda value, n, c: value + module.beta.tolist()[c], x)
    if name == "asd":
        squeeze, excite = module.shift.squeeze.weight.tolist(), module.shift.excite.weight.tolist()
        shifts = []
        for image in x.tolist():
            pixels = len(image[0]) * len(image[0][0])
            means = [math.fsum(value for row in plane for value in row) / pixels for plane in image]
            hidden = [max(0.0, sum(w * m for w, m in zip(row, means))) for row in squeeze]
            shifts.append([1 / (1 + math.exp(-sum(w * h for w, h in zip(row, hidden)))) for row in excite])
        return each(lambda value, n, c: value + shifts[n][c], x)
    if name.startswith("insta"):
        threshold = module.threshold(x).detach()
        return each(lambda value, n, c: value - threshold[n, c].item(), x)
    if name == "normalised" and module.training:
        spreads = []
        for image in x.tolist():
            values = [value for plane in image for row in plane for value in row]
            mean = math.fsum(values) / len(values)
            spreads.append(math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) + 1e-5))
        return each(lambda value, n, c: value / spreads[n], x)
    return x.tolist()


def signs(maps):
    return [[[[1.0 if value >= 0 else -1.0 for value in row] for row in plane] for plane in image] for image in maps]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ACTIVATION_BINARIZERS)
def test_signs_are_the_formula(name, training):
    module = make(name)
    if training and not name.startswith("insta"):  # whose batch norm would take the batch's own statistics
        module.train()
    x = torch.randn(2, 3, 5, 4) * 0.7 - 0.2
    found = module(x)
    assert found.dtype == x.dtype
    assert found.tolist() == signs(moved(name, module, x))
    if name not in ("sign", "normalised", "trainable"):
        assert found.tolist() != signs(x.tolist())


@pytest.mark.parametrize("name", ACTIVATION_BINARIZERS)
def test_zero_is_positive(name):
    module = ACTIVATION_BINARIZERS[name](2)
    with torch.no_grad():
        for branch in (parameter for key, parameter in module.named_parameters() if "branch" in key):
            branch.zero_()
    for mode in (True, False):
        module.train(mode)
        for zero in (0.0, -0.0):
            assert torch.all(module(torch.full((2, 2, 2, 2), zero)) == 1)
    set_fixed(module, FixedPoint())
    assert torch.all(module(torch.zeros(2, 2, 2, 2, dtype=torch.float64)) == 1) or name.startswith("insta")


@pytest.mark.parametrize("beta, value, bit", [(0.5, -0.5, 1), (0.5, -0.50001, -1), (-0.5, 0.5, 1), (-0.5, 0.49999, -1)])
def test_rsign_at_its_threshold(beta, value, bit):
    module = RSign(1)
    with torch.no_grad():
        module.beta.fill_(beta)
    assert module(torch.full((1, 1, 1, 1), value)).item() == bit


@pytest.mark.parametrize("name", ["sign", "rsign", "trainable", "normalised", "asd"])
def test_gradient_is_the_slope_of_the_surrogate(name):
    module = make(name).train()
    x = (torch.randn(2, 3, 3, 2) * 0.6).requires_grad_()
    upstream = torch.randn(x.shape)
    module(x).backward(upstream)
    factors, base = upstream.flatten().tolist(), x.detach().double()

    def loss():
        flat = torch.tensor(moved(name, module, base), dtype=torch.float64).flatten().tolist()
        return math.fsum(u * surrogate(value) for u, value in zip(factors, flat))

    def slope(values, index):
        """Between the numbers that the tensor can hold."""
        flat, before, ends = values.view(-1), values.view(-1)[index].item(), []
        for sign in (1, -1):
            flat[index] = before + sign * 1e-4
            ends.append((flat[index].item(), loss()))
        flat[index] = before
        return (ends[0][1] - ends[1][1]) / (ends[0][0] - ends[1][0])

    slopes = [slope(base, index) for index in range(base.numel())]
    assert x.grad.flatten().tolist() == pytest.approx(slopes, rel=1e-3, abs=1e-3)
    for parameter in () if name == "trainable" else module.parameters():
        slopes = [slope(parameter.detach(), index) for index in range(parameter.numel())]
        assert any(slopes) and parameter.grad.flatten().tolist() == pytest.approx(slopes, rel=1e-3, abs=1e-3)


def test_instance_threshold_learns():
    module = make("insta-plus").train()
    module(torch.randn(4, 3, 5, 5) * 0.5).square().sum().backward()
    x = (torch.randn(4, 3, 5, 5) * 0.5).requires_grad_()
    module.zero_grad()
    module(x).backward(torch.randn(x.shape))
    assert x.grad.any() and all(parameter.grad.any() for parameter in module.parameters())


def exact_thresholds(name, module, x, fixed):
    """Integer ``t`` of each image and channel; the bit is ``word + t >= 0``."""
    if name == "rsign":
        return [[half_up(value * fixed.one) for value in module.beta.tolist()]] * len(x)
    if name == "asd":
        pixels = x.shape[2] * x.shape[3]
        sums = [[sum(int(value) for row in plane for value in row) for plane in image] for image in x.tolist()]
        bits = fixed.bits + math.ceil(math.log2(pixels))
        assert all(abs(value) <= 1 << (bits - 1) for row in sums for value in row)
        assert module.sum_format(pixels) == (1 / (pixels * fixed.one), bits)
        return module.shift(torch.tensor(sums, dtype=torch.float64), 1 / (pixels * fixed.one), bits).int().tolist()
    if name.startswith("insta"):
        return (-module.threshold(x)).int().flatten(1).tolist()
    return [[0] * 3] * len(x)


@pytest.mark.parametrize("fixed", [FixedPoint(6, 8), FixedPoint(7, 8), FixedPoint(3, 12)], ids=str)
@pytest.mark.parametrize("name", ACTIVATION_BINARIZERS)
def test_integer_mode_is_that_of_python_integers(name, fixed):
    module = make(name)
    set_fixed(module, fixed)
    x = random_words((3, 3, 5, 7), fixed.bits, 2)
    x[0] = fixed.saturate(torch.tensor(-1e9, dtype=torch.float64))  # the largest sums
    thresholds = exact_thresholds(name, module, x, fixed)
    for n, c in ((1, 0), (1, 1), (2, 2)):  # equality is on the positive side
        for place, distance in enumerate((0, -1, 1)):
            if abs(thresholds[n][c]) < 1 << (fixed.bits - 2) and name in ("sign", "rsign"):
                x[n, c, 0, place] = distance - thresholds[n][c]
    thresholds = exact_thresholds(name, module, x, fixed)
    assert module(x).tolist() == each(lambda value, n, c: 1.0 if int(value) + thresholds[n][c] >= 0 else -1.0, x)


@pytest.mark.parametrize("name", ["sign", "rsign", "trainable", "normalised", "asd", "insta", "insta-plus"])
def test_words_have_the_signs_of_the_real_values(name):
    module, fixed = make(name), FixedPoint(12, 16)
    x = random_words((4, 3, 8, 8), 14, 3)
    real = moved(name, module, x.float() / fixed.one)
    expected = torch.tensor(signs(real))
    set_fixed(module, fixed)
    # Thresholds of an image are coarser: a table has steps of up to 1/16 of sigmoid or tanh, a moment has 5 bits.
    far = torch.tensor(real).abs() > (0.15 if name in ("asd", "insta", "insta-plus") else 1 / fixed.one)
    assert far.float().mean() > 0.4
    assert torch.equal(module(x)[far], expected[far].double())


def test_scale_is_the_learned_factor():
    module = ScaledSign(3)
    assert module.scale().item() == 1 and module.scale().requires_grad
    assert all(ACTIVATION_BINARIZERS[name](3).scale() is None for name in ACTIVATION_BINARIZERS if name != "trainable")


def test_normalised_sign_is_plain_in_evaluation():
    x = (torch.randn(2, 3, 4, 4) * 5).requires_grad_()
    NormalisedSign(3).eval()(x).sum().backward()
    expected = each(lambda value, n, c: max(0.0, 2 - 2 * abs(value)), x.detach())
    torch.testing.assert_close(x.grad, torch.tensor(expected))
    assert NormalisedSign(1)(torch.zeros(1, 1, 1, 1)).item() == 1  # a single value has no spread


def test_estimator_follows_its_schedule():
    module = make("rsign", EDESchedule(1e-3, 10))
    x = torch.tensor([0.1]).view(1, 1, 1, 1).expand(1, 3, 1, 1).clone().requires_grad_()
    for epoch, t in ((0, 1e-3), (3, 10 ** -1.8), (9, 10 ** 0.6)):
        module.set_epoch(epoch, 10)
        x.grad = None
        module(x).sum().backward()
        expected = [max(1, t) * (1 - math.tanh(t * (0.1 + shift)) ** 2) for shift in SHIFTS]
        assert x.grad.flatten().tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ACTIVATION_BINARIZERS)
def test_repeated(name):
    module = ACTIVATION_BINARIZERS[name](8, LongTail())
    other = module.repeated(2)
    assert type(other) is type(module) and (other.channels, other.estimator) == (16, LongTail())
    assert other(torch.randn(2, 16, 3, 3)).shape == (2, 16, 3, 3)
    assert isinstance(ACTIVATION_BINARIZERS[name](8).estimator, ApproxSign)


@pytest.mark.parametrize("channels, reduction, hidden", [(16, 16, 1), (64, 16, 4), (8, 16, 1), (64, 8, 8)])
def test_asd_has_two_small_layers(channels, reduction, hidden):
    module = ASD(channels, reduction=reduction)
    assert sum(parameter.numel() for parameter in module.parameters()) == 2 * channels * hidden
    assert module.repeated(2).reduction == reduction
