"""Latent weights in half the bytes, for checkpoints that are shipped: the network's bits stay as they are."""

import torch
from torch import Tensor, nn

from sw.errors import CompileError
from sw.nn import BinaryConv2d, BinaryLinear
from sw.nn.weights import WeightBinarizer

__all__ = ["SCALE_TOLERANCE", "half_weights"]

#: By which a scale that a binarizer computes of latent weights may change, relative: 16-bit floats' rounding.
SCALE_TOLERANCE = 2.0 ** -10

_MOST = torch.finfo(torch.float16).max
_LEAST = torch.finfo(torch.float16).smallest_normal * torch.finfo(torch.float16).eps
"""The step between 16-bit floats next to zero."""

# 40 doublings take a weight from one end of the range to the other, and those near a mean may have to wait for others.
_ROUNDS = 256


def half_weights(model: nn.Module) -> dict[str, Tensor]:
    """The latent weights of a model's binary layers, on the CPU, as ``float16`` by their names in ``state_dict()``.

    With them in place of its own the model has the same binary weights, bit for bit, whatever its binarizers: where
    rounding moved a weight, or a mean that is taken from it, across zero, the weight is moved back by as little as it
    takes. Weights that are 16-bit floats already stay as they are. Scales change by at most ``SCALE_TOLERANCE``, and
    powers of two not at all.

    Raises ``CompileError`` where that cannot be.
    """
    return {f"{name}.weight": _half(name, module.weight.detach(), module.binarizer).contiguous()
            for name, module in model.named_modules()
            if isinstance(module, BinaryConv2d | BinaryLinear) and module.weight_bits == 1}


@torch.no_grad()
def _half(name: str, weight: Tensor, binarizer: WeightBinarizer) -> Tensor:
    """One layer's; ``name`` is for the error."""
    signs = binarizer.signs(weight)
    half = _rounded(weight)
    # A weight's own doubles until it is far enough, so the first that takes it to another float is about the least.
    step = torch.full_like(weight, _LEAST)
    for _ in range(_ROUNDS):
        wrong = binarizer.signs(half.float()) != signs
        if not wrong.any():
            break
        half = torch.where(wrong, _rounded(half.float() + signs * step), half)
        step = torch.where(wrong, 2 * step, step)
    else:
        raise CompileError(f"{name}: its latent weights do not fit 16-bit floats: {int(wrong.sum())} binary weights "
                           f"would change; keep the checkpoint with float32")
    before, after = binarizer.scale(weight), binarizer.scale(half.float())
    if before is not None and after is not None and not torch.allclose(after, before, rtol=SCALE_TOLERANCE, atol=0):
        raise CompileError(f"{name}: its latent weights do not fit 16-bit floats: a scale would change by more than "
                           f"{SCALE_TOLERANCE:.1%}; keep the checkpoint with float32")
    return half


def _rounded(weight: Tensor) -> Tensor:
    return weight.clamp(-_MOST, _MOST).half()
