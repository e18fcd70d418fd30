"""Real values become words: the format of a trained network's fixed point is chosen from data.

This is the one place where accuracy may move between what was trained and what is exported.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from sw.errors import CompileError
from sw.nn.activations import ASD
from sw.nn.blocks import DoublingUnit, PairUnit, ResidualUnit
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import MOST_SHIFT, FixedModule, FixedPoint, fixed_point, set_fixed
from sw.nn.statistics import InstanceBias

__all__ = [
    "CALIBRATION_IMAGES", "FREE_WORD_BITS", "WORD_BITS", "calibrate", "common_shift", "default_bits", "needs_format",
    "stores_words",
]

#: Width of words unless told: where they are stored, as the hardware does, and where they only become bits and so cost
#: nothing.
WORD_BITS, FREE_WORD_BITS = 8, 20

#: Training images, from the first on, from which the format is chosen unless told.
CALIBRATION_IMAGES = 500

# Small batches keep float64 maps in the cache: twice as fast as 250.
_BATCH = 50


def needs_format(model: nn.Module) -> bool:
    """Whether a model has real values between its layers, or is of the parts that could have."""
    return any(isinstance(module, FixedModule) for module in model.modules())


def stores_words(model: nn.Module) -> bool:
    """Whether words are more than the way to a threshold: not in a chain with static ones, into which they fold."""
    stored = (ResidualUnit, PairUnit, DoublingUnit, ASD, InstanceBias)
    return any(isinstance(module, stored) for module in model.modules())


def default_bits(model: nn.Module) -> int:
    """``WORD_BITS`` where a model ``stores_words``, else ``FREE_WORD_BITS``."""
    return WORD_BITS if stores_words(model) else FREE_WORD_BITS


@torch.no_grad()
def common_shift(model: nn.Module, image: Tensor) -> int:
    """The smallest of the shifts that the batch norms behind convolutions would have by themselves.

    The model is in integer mode and is left as it is; ``image`` is any, ``uint8 (1, C, H, W)``. Raises ``CompileError``
    for constants that do not fit.
    """
    fixed = fixed_point(model)
    assert fixed is not None
    shifts = [MOST_SHIFT]

    def note(module: ConvNorm, inputs: tuple[Tensor, ...]) -> None:
        shifts.append(module.constants(*inputs[1:]).shift)

    hooks = [module.register_forward_pre_hook(note) for module in model.modules() if isinstance(module, ConvNorm)]
    try:
        set_fixed(model, replace(fixed, shift=None))
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
        set_fixed(model, fixed)
    return min(shifts)


def calibrate(model: nn.Module, images: Tensor, bits: int | None = None, fraction: int | None = None) -> FixedPoint:
    """Put a trained model into integer mode with words of ``bits`` bits, or ``default_bits``; returns their format.

    Where the model ``stores_words`` all batch norms have their ``common_shift``. Of all fractions, or ``fraction``
    alone, the one is taken with which the integer model gives most of ``images`` (``uint8 (N, C, H, W)``, a few hundred
    of the training set) the class that the real one gives, and of equal ones the longest. Raises ``CompileError`` for
    words of no legal width, and if a constant fits with no fraction; then the model is in eval mode and its values are
    real.
    """
    bits = default_bits(model) if bits is None else bits
    set_fixed(model, None)
    fractions = range(1, max(2, min(bits, 21))) if fraction is None else [fraction]
    formats = [FixedPoint(each, bits) for each in fractions]
    shared = stores_words(model)
    real = _classes(model, images)
    found: list[tuple[int, FixedPoint]] = []
    problem: CompileError | None = None
    for fixed in formats:
        set_fixed(model, fixed)
        try:
            if shared:
                fixed = replace(fixed, shift=common_shift(model, images[:1]))
                set_fixed(model, fixed)
            found.append((int((_classes(model, images) == real).sum()), fixed))
        except CompileError as error:
            problem = error
    set_fixed(model, None)
    if not found:
        raise CompileError(f"no fraction of words of {bits} bits fits: {problem}")
    fixed = max(found, key=lambda pair: (pair[0], pair[1].fraction))[1]
    set_fixed(model, fixed)
    return fixed


@torch.no_grad()
def _classes(model: nn.Module, images: Tensor) -> Tensor:
    model.eval()
    return torch.cat([model(batch).argmax(1) for batch in images.split(_BATCH)])
