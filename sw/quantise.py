"""Real values become words: the format of a trained network's fixed point is chosen from data.

This is the one place where accuracy may move between what was trained and what is exported.
"""

import torch
from torch import Tensor, nn

from sw.errors import CompileError
from sw.nn.activations import ASD
from sw.nn.blocks import DoublingUnit, PairUnit, ResidualUnit
from sw.nn.fixed import FixedModule, FixedPoint, set_fixed
from sw.nn.statistics import InstanceBias

__all__ = ["CALIBRATION_IMAGES", "FREE_WORD_BITS", "WORD_BITS", "calibrate", "default_bits", "needs_format"]

#: Width of words unless told: where they are stored, and where they only become bits and so cost nothing.
WORD_BITS, FREE_WORD_BITS = 10, 20

#: Training images, from the first on, from which the format is chosen unless told.
CALIBRATION_IMAGES = 500

# Small batches keep float64 maps in the cache: twice as fast as 250.
_BATCH = 50


def needs_format(model: nn.Module) -> bool:
    """Whether a model has real values between its layers, or is of the parts that could have."""
    return any(isinstance(module, FixedModule) for module in model.modules())


def default_bits(model: nn.Module) -> int:
    """``FREE_WORD_BITS`` for a chain with static thresholds, into which its words fold, else ``WORD_BITS``."""
    stored = (ResidualUnit, PairUnit, DoublingUnit, ASD, InstanceBias)
    return WORD_BITS if any(isinstance(module, stored) for module in model.modules()) else FREE_WORD_BITS


def calibrate(model: nn.Module, images: Tensor, bits: int | None = None) -> FixedPoint:
    """Put a trained model into integer mode with words of ``bits`` bits, or ``default_bits``; returns their format.

    Of all fractions the one is taken with which the integer model gives most of ``images`` (``uint8 (N, C, H, W)``, a
    few hundred of the training set) the class that the real one gives, and of equal ones the longest. Raises
    ``CompileError`` for words of no legal width, and if a constant fits with no fraction; then the model is in eval
    mode and its values are real.
    """
    bits = default_bits(model) if bits is None else bits
    set_fixed(model, None)
    formats = [FixedPoint(fraction, bits) for fraction in range(1, max(2, min(bits, 21)))]
    real = _classes(model, images)
    found: list[tuple[int, FixedPoint]] = []
    problem: CompileError | None = None
    for fixed in formats:
        set_fixed(model, fixed)
        try:
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
