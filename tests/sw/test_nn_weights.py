"""``sw.nn.weights`` against loops over Python floats, finite differences of the surrogates, and degenerate weights."""

import io
import math

import numpy as np
import pytest
import torch

from sw.nn import (
    STE,
    WEIGHT_BINARIZERS,
    WSD,
    ApproxSign,
    ClippedSTE,
    EDESchedule,
    LibraPB,
    LongTail,
    MeanScale,
    PlainSign,
    ReCU,
    TrainableScale,
)

SHAPES = [(4, 3, 3, 3), (2, 5, 1, 1), (5, 7), (3, 2), (2, 1), (1, 1, 3, 3)]
NAMES = ["sign", "mean", "libra-pb", "recu", "wsd", "trainable"]
EPOCHS = 10


def mean(values):
    return math.fsum(values) / len(values)


def balanced(row):
    average = mean(row)
    return [value - average for value in row]


def variance(row):
    """Unbiased; 0 for one value."""
    return math.fsum(value * value for value in balanced(row)) / max(len(row) - 1, 1)


def same(rows, module):
    return rows


def libra(rows, module):
    return [[value / (math.sqrt(variance(row)) or 1.0) for value in balanced(row)] for row in rows]


def recu_standard(rows):
    return [[value * 2 * math.sqrt(2) / math.sqrt(variance(row) + 1e-5) for value in balanced(row)] for row in rows]


def recu_limit(rows, tau):
    return -mean([abs(value) for row in recu_standard(rows) for value in row]) * math.log(2 - 2 * tau)


def recu(rows, module, held=None):
    limit = recu_limit(rows if held is None else held, module.tau)
    return [[max(-limit, min(limit, value)) for value in row] for row in recu_standard(rows)]


def wsd(rows, module, held=None):
    alpha = module.alpha.tolist()
    means = [mean(row) for row in (rows if held is None else held)]
    return [[value + 0.01 * m / (1 + math.exp(-a)) for value in row] for row, m, a in zip(rows, means, alpha)]


# What of a formula is detached stands in ``held``, the weights at which the slope is taken.
LATENT = {"sign": same, "mean": same, "libra-pb": libra, "recu": recu, "wsd": wsd, "trainable": same}
HELD = {"recu": recu, "wsd": wsd}


def clipped(x):
    return max(-1.0, min(1.0, x))


def long_tail(x):
    length = min(abs(x), 1.0)
    return math.copysign(2 * length - 2 * length ** 2 if length <= 0.4 else 0.32 + 0.4 * length, x)


def ede(x):
    t = 10 ** (-1 + 2 * 0.3)  # epoch 3 of 10
    return max(1 / t, 1.0) * math.tanh(t * x)


SURROGATE = {"sign": clipped, "mean": clipped, "libra-pb": ede, "recu": lambda x: x, "wsd": ede,
             "trainable": long_tail}


def make(name, shape, seed):
    """A binarizer in epoch 3 of 10 with random parameters, and random weights of several spreads."""
    torch.manual_seed(seed)
    module = WEIGHT_BINARIZERS[name](shape[0]).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    module.set_epoch(3, EPOCHS)
    weight = torch.randn(shape, dtype=torch.float64) * 0.6 + 0.1 * torch.randn((shape[0], *[1] * (len(shape) - 1)))
    return module, weight.requires_grad_()


def rows_of(tensor):
    return tensor.detach().flatten(1).tolist()


def signs_of(rows):
    return [[1 if value >= 0 else -1 for value in row] for row in rows]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_latent_and_signs_are_the_formula(name, shape, seed):
    module, weight = make(name, shape, seed)
    expected = LATENT[name](rows_of(weight), module)
    latent, signs = module.latent(weight), module.signs(weight)
    assert latent.shape == signs.shape == weight.shape and latent.dtype == signs.dtype == weight.dtype
    np.testing.assert_allclose(rows_of(latent), expected, rtol=1e-9, atol=1e-12)
    assert rows_of(signs) == signs_of(expected)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shape", [(3, 2, 2, 2), (4, 5), (2, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_slope_of_the_surrogate_of_the_latent_weight(name, shape, seed):
    module, weight = make(name, shape, seed)
    upstream = torch.randn(shape, dtype=torch.float64)
    module.signs(weight).backward(upstream)
    base, factors, surrogate = rows_of(weight), rows_of(upstream), SURROGATE[name]

    def loss(rows):
        latent = HELD[name](rows, module, base) if name in HELD else LATENT[name](rows, module)
        return math.fsum(u * surrogate(v) for us, vs in zip(factors, latent) for u, v in zip(us, vs))

    def moved(o, i, step):
        return [[value + step * ((o, i) == (row, column)) for column, value in enumerate(values)]
                for row, values in enumerate(base)]

    step = 1e-6
    slopes = [[(loss(moved(o, i, step)) - loss(moved(o, i, -step))) / (2 * step) for i in range(len(base[0]))]
              for o in range(len(base))]
    np.testing.assert_allclose(rows_of(weight.grad), slopes, rtol=1e-5, atol=1e-7)
    # A single weight a channel is its own mean, so balancing leaves it no gradient.
    assert weight.grad.abs().max() > 1e-3 or (shape[1:] == (1,) and name in ("libra-pb", "recu"))


def test_recu_clamp_stops_the_gradient_outside():
    module, weight = make("recu", (4, 9, 3, 3), 0)
    limit = recu_limit(rows_of(weight), module.tau)
    outside = torch.tensor([[abs(value) > limit for value in row] for row in recu_standard(rows_of(weight))])
    assert 20 < outside.sum() < outside.numel() / 2
    signs = module.signs(weight).flatten(1)
    (stopped,) = torch.autograd.grad(signs[outside].sum(), weight, retain_graph=True)
    assert not stopped.any()
    (passed,) = torch.autograd.grad(signs[~outside][:20].sum(), weight)
    assert passed.flatten(1)[0].count_nonzero() == passed.flatten(1).shape[1]


@pytest.mark.parametrize("seed", range(2))
def test_wsd_alpha_learns_by_the_slope_of_the_surrogate(seed):
    module, weight = make("wsd", (3, 2, 2, 2), seed)
    upstream = torch.randn(weight.shape, dtype=torch.float64)
    module.signs(weight).backward(upstream)
    for o, (row, factors) in enumerate(zip(rows_of(weight), rows_of(upstream))):
        def loss(alpha, row=row, factors=factors):
            shift = 0.01 * mean(row) / (1 + math.exp(-alpha))
            return math.fsum(u * ede(value + shift) for u, value in zip(factors, row))

        alpha = module.alpha[o].item()
        slope = (loss(alpha + 1e-4) - loss(alpha - 1e-4)) / 2e-4
        assert module.alpha.grad[o].item() == pytest.approx(slope, rel=1e-5, abs=1e-10)
        assert slope != 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_mean_scale(shape, seed):
    module, weight = make("mean", shape, seed)
    scale = module.scale(weight)
    assert scale.shape == shape[:1] and not scale.requires_grad
    np.testing.assert_allclose(scale.numpy(), [mean([abs(v) for v in row]) for row in rows_of(weight)], rtol=1e-12)


@pytest.mark.parametrize("power, exponents", [(1, {0}), (2, {-1, 0}), (5, {-2, -1})])
def test_libra_scale_is_the_nearest_power_of_two(power, exponents):
    """Powers of a Gaussian have ever heavier tails, so that mean |v| becomes small."""
    torch.manual_seed(2)
    weight = torch.randn(16, 9, 3, 3, dtype=torch.float64)
    weight = (weight.abs() ** power * weight.sign()).requires_grad_()
    scale = LibraPB(16).scale(weight)
    expected = [round(math.log2(mean([abs(value) for value in row]))) for row in libra(rows_of(weight), None)]
    assert scale.shape == (16,) and not scale.requires_grad
    assert scale.tolist() == [2.0 ** exponent for exponent in expected]
    assert set(expected) == exponents
    assert LibraPB(16).scale(weight.float()).tolist() == scale.tolist()


@pytest.mark.parametrize("n, exponent", [(4, -0.0), (16, -1.0), (256, -3.0), (4096, -5.0)])
def test_libra_scale_of_a_single_spike(n, exponent):
    """Of n weights one is 1: the std is 1 / sqrt(n), mean |v| is 2 (1 - 1 / n) / sqrt(n)."""
    weight = torch.zeros(1, n)
    weight[0, n // 2] = 1
    assert LibraPB(1).scale(weight).tolist() == [2.0 ** exponent]


@pytest.mark.parametrize("name", ["libra-pb", "recu"])
@pytest.mark.parametrize("seed", range(3))
def test_signs_are_those_of_the_balanced_weights_in_every_epoch(name, seed):
    module, weight = make(name, (8, 4, 3, 3), seed)
    weight = weight.detach().float()
    for epoch in range(EPOCHS):
        module.set_epoch(epoch, EPOCHS)
        assert rows_of(module.signs(weight)) == [signs_of([balanced(row)])[0] for row in rows_of(weight)]


@pytest.mark.parametrize("name", ["recu", "trainable"])
def test_learned_scale_is_the_parameter(name):
    module = WEIGHT_BINARIZERS[name](4)
    with torch.no_grad():
        module.alpha.copy_(torch.tensor([0.5, -2.0, 0.0, 3.0]))
    scale = module.scale(torch.randn(4, 6))
    assert scale.tolist() == [0.5, -2.0, 0.0, 3.0]
    scale.backward(torch.tensor([1.0, 2, 3, 4]))
    assert module.alpha.grad.tolist() == [1, 2, 3, 4]


def test_initial_parameters():
    torch.manual_seed(0)
    alpha = ReCU(1000).alpha
    assert 0 <= alpha.min() < 0.05 and 0.95 < alpha.max() < 1 and abs(alpha.mean() - 0.5) < 0.05
    assert WSD(3).alpha.tolist() == [0] * 3
    assert TrainableScale(3).alpha.tolist() == [1] * 3


@pytest.mark.parametrize("decay", [0.0, 1e-5, 0.25])
def test_penalty_is_the_square_of_the_scale(decay):
    module = TrainableScale(3, decay=decay)
    with torch.no_grad():
        module.alpha.copy_(torch.tensor([0.5, -2.0, 4.0]))
    penalty = module.penalty()
    assert penalty.shape == () and penalty.item() == pytest.approx(decay * 20.25)
    penalty.backward()
    np.testing.assert_allclose(module.alpha.grad.numpy(), [decay * 1.0, decay * -4.0, decay * 8.0], rtol=1e-6)


@pytest.mark.parametrize("epoch, epochs, tau", [
    (0, 600, 0.85), (300, 600, 0.90285569), (599, 600, 0.98963118), (0, 1, 0.85), (1, 2, 0.90285569),
])
def test_recu_tau_in_numbers(epoch, epochs, tau):
    module = ReCU(2)
    assert module.tau == 0.85
    module.set_epoch(epoch, epochs)
    assert module.tau == pytest.approx(tau, abs=1e-8)
    assert module.tau == pytest.approx(0.85 + 0.14 * (math.exp(epoch / epochs) - 1) / (math.e - 1), rel=1e-12)


@pytest.mark.parametrize("tau, ratio", [(0.85, 1.204), (0.90, 1.609), (0.95, 2.303), (0.99, 3.912)])
def test_recu_limit_relative_to_the_mean_magnitude(tau, ratio):
    module = ReCU(1, tau_min=tau, tau_max=tau).double()
    weight = torch.zeros(1, 1000, dtype=torch.float64)
    weight[0, :2] = torch.tensor([1.0, -1.0])  # far outside
    average = mean([abs(value) for value in recu_standard(rows_of(weight))[0]])
    assert module.latent(weight).max().item() / average == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize("module", [LibraPB(2), WSD(2), PlainSign(2, EDESchedule()), MeanScale(2, EDESchedule())])
def test_schedule_of_the_estimator(module):
    for epoch, t, k in [(None, 0.1, 10.0), (0, 0.1, 10.0), (2, 1.0, 1.0), (3, 10 ** 0.5, 1.0)]:
        if epoch is not None:
            module.set_epoch(epoch, 4)
        weight = torch.tensor([[0.3, 0.0], [1.0, -1.0]], requires_grad=True)
        latent = module.latent(weight)
        (expected,) = torch.autograd.grad(latent, weight, k * t * (1 - torch.tanh(t * latent.detach()) ** 2))
        module.signs(weight).sum().backward()
        torch.testing.assert_close(weight.grad, expected)
    with pytest.raises(ValueError, match="epoch must be from 0 to epochs - 1, not 4 of 4"):
        module.set_epoch(4, 4)


@pytest.mark.parametrize("make_module, estimator", [
    (PlainSign, ClippedSTE()), (MeanScale, ClippedSTE()), (LibraPB, EDESchedule()), (ReCU, STE()),
    (WSD, EDESchedule()), (TrainableScale, LongTail()),
])
def test_estimator_of_the_paper_is_the_default(make_module, estimator):
    assert make_module(2).estimator == estimator


@pytest.mark.parametrize("make_module", [PlainSign, MeanScale, LibraPB, WSD, TrainableScale])
def test_estimator_is_an_option(make_module):
    module = make_module(1, estimator=ApproxSign())
    weight = torch.tensor([[0.25, -0.25]], requires_grad=True)
    module.signs(weight).backward(torch.tensor([[1.0, 0.0]]))
    reference = torch.tensor([[0.25, -0.25]], requires_grad=True)
    factor = 2 - 2 * abs(module.latent(reference)[0, 0].item())
    module.latent(reference).backward(torch.tensor([[factor, 0.0]]))
    torch.testing.assert_close(weight.grad, reference.grad)
    assert "ApproxSign()" in repr(module)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("shape", [(3, 2, 3, 3), (3, 4), (3, 1)])
def test_zero_weights_are_plus_one(name, zero, shape):
    weight = torch.full(shape, zero, requires_grad=True)
    module = WEIGHT_BINARIZERS[name](3)
    signs = module.signs(weight)
    assert torch.equal(signs, torch.ones(shape))
    signs.sum().backward()
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("value", [0.1, -0.1, 1e-20, -3e5, 1 / 3])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("shape", [(3, 3, 3, 3), (3, 7)])
@pytest.mark.parametrize("name", NAMES)
def test_equal_weights_in_a_channel(name, shape, whole, value):
    torch.manual_seed(1)
    weight = torch.full(shape, value) if whole else torch.randn(shape)
    weight[1] = value
    weight.requires_grad_()
    module = WEIGHT_BINARIZERS[name](3)
    for epoch in range(3):
        module.set_epoch(epoch, 3)
        signs, scale = module.signs(weight), module.scale(weight)
        # A balanced channel is all zeros, whose sign is +1, although the mean of equal floats is not exact.
        expected = 1.0 if value > 0 or name in ("libra-pb", "recu") else -1.0
        assert torch.equal(signs[1], torch.full(shape[1:], expected))
        assert module.latent(weight).isfinite().all()
        total = (signs * torch.randn(shape)).sum() + (0 if scale is None else scale.sum())
        for gradient in torch.autograd.grad(total, [weight, *module.parameters()]):
            assert gradient.isfinite().all()
        assert scale is None or scale.isfinite().all()


def test_equal_weights_are_balanced_undivided_by_libra():
    weight = torch.full((1, 4), 0.3, dtype=torch.float64, requires_grad=True)
    module = LibraPB(1)
    assert module.scale(weight).tolist() == [1.0]
    module.signs(weight).backward(torch.tensor([[1.0, 2.0, 3.0, 6.0]], dtype=torch.float64))
    # The peak of EDE(0.1, 10) is 1, and balancing takes the mean of the gradient, 3.
    np.testing.assert_allclose(weight.grad.numpy(), [[-2, -1, 0, 3]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_state_is_saved_and_loaded(name):
    torch.manual_seed(6)
    weight = torch.randn(5, 8)
    saved, loaded = WEIGHT_BINARIZERS[name](5), WEIGHT_BINARIZERS[name](5)
    with torch.no_grad():
        for parameter in saved.parameters():
            parameter.normal_()
    assert list(saved.state_dict()) == (["alpha"] if name in ("recu", "wsd", "trainable") else [])
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(loaded.latent(weight), saved.latent(weight))
    assert torch.equal(loaded.signs(weight), saved.signs(weight))
    if saved.scale(weight) is not None:
        assert torch.equal(loaded.scale(weight), saved.scale(weight))


def test_names_and_what_the_methods_have():
    modules = {name: make_module(2) for name, make_module in WEIGHT_BINARIZERS.items()}
    assert list(modules) == NAMES
    assert [name for name in NAMES if modules[name].scale(torch.ones(2, 3)) is None] == ["sign", "wsd"]
    assert [name for name in NAMES if modules[name].penalty() is not None] == ["trainable"]


@pytest.mark.parametrize("module", [ReCU(3, scaled=False), LibraPB(3, shift=False)])
def test_without_a_scale(module):
    weight = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(5))
    assert module.scale(weight) is None and not list(module.parameters())
    other = module.like(5)
    assert other.out_channels == 5 and other.scale(torch.randn(5, 4)) is None
    scaled = type(module)(3)
    assert torch.equal(module.signs(weight), scaled.signs(weight)) and scaled.scale(weight) is not None
