"""What a network costs: weights, operations, and the parts of an accelerator that it needs beyond the array."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sw.nn.activations import ASD, InstaThreshold, RSign
from sw.nn.blocks import ChannelShuffle, DoublingUnit, PairUnit, ResidualUnit
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import fixed_point, set_fixed
from sw.nn.head import Head
from sw.nn.layers import BinaryConv2d, BinaryLinear
from sw.nn.nonlinear import InstaPReLU, PReLU, TwoSlopePReLU
from sw.nn.shortcuts import AveragePool
from sw.nn.statistics import InstanceBias, SqueezeExcite

__all__ = ["Costs", "costs", "units"]


@dataclass(frozen=True)
class Costs:
    """Counts for one image.

    ``binary_weights`` are weights of one bit, ``multi_bit_weights`` those of the first, last and real layers, and
    ``real_parameters`` all else that is trained: scales, batch norms, slopes, thresholds, and the small fully
    connected layers of run-time thresholds. ``binary_macs`` are XNOR operations of +-1 with +-1; ``multi_bit_macs``
    all other multiply-accumulates of layers.
    """

    binary_weights: int
    multi_bit_weights: int
    real_parameters: int
    binary_macs: int
    multi_bit_macs: int

    @property
    def ops(self) -> float:
        """The measure of the papers: binary operations / 64 + multi-bit operations (Liu et al., ECCV 2018)."""
        return self.binary_macs / 64 + self.multi_bit_macs


def costs(model: nn.Module, image: Sequence[int]) -> Costs:
    """Count a model of the library for images ``(C, H, W)``, padded taps included. The model is left as it is."""
    macs: dict[str, int] = {}
    hooks = []
    layers = {name: module for name, module in model.named_modules()
              if isinstance(module, BinaryConv2d | BinaryLinear | Head | nn.Conv2d | nn.Linear)}
    for name, module in layers.items():
        def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
            macs[name] = output.numel() * module.weight[0].numel()  # type: ignore[index]
        # A ConvNorm calls its convolution; the head and the small layers are called themselves.
        hooks.append(module.register_forward_hook(count))
    training, fixed = model.training, fixed_point(model)
    set_fixed(model, None)
    first = next(iter(layers), None)
    buffers = {name: tensor for name, tensor in model.state_dict().items()}
    try:
        with torch.no_grad():
            meta = {name: tensor.to("meta") for name, tensor in buffers.items()}
            torch.func.functional_call(model.eval(), meta, torch.empty(1, *image, dtype=torch.uint8, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        set_fixed(model, fixed)
        model.train(training)
    binary = {name for name, module in layers.items() if getattr(module, "weight_bits", 8) == 1}
    small = {f"{name}." for name, module in model.named_modules() if isinstance(module, SqueezeExcite)}
    weights = {name: module.weight.numel() for name, module in layers.items()
               if not name.startswith(tuple(small))}
    # The first layer takes pixels of several bits: in the papers' count its operations are real ones.
    xnor = sum(count for name, count in macs.items() if name in binary and name != first)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Costs(
        binary_weights=sum(count for name, count in weights.items() if name in binary),
        multi_bit_weights=sum(count for name, count in weights.items() if name not in binary),
        real_parameters=parameters - sum(weights.values()),
        binary_macs=xnor, multi_bit_macs=sum(macs.values()) - xnor,
    )


def units(model: nn.Module) -> tuple[str, ...]:
    """The hardware that a model needs beyond array, thresholds and pools, in words; empty for a plain chain."""
    modules = list(model.modules())

    def has(*kinds: type[nn.Module]) -> bool:
        return any(isinstance(module, kinds) for module in modules)

    convs = [module for module in modules if isinstance(module, BinaryConv2d)]
    wanted = {
        "residual memory": has(ResidualUnit, PairUnit, DoublingUnit),
        "post-processing (batch norm, shortcut)": has(ResidualUnit, PairUnit, DoublingUnit, ASD, InstaThreshold),
        "slope multiplier": has(PReLU, TwoSlopePReLU),
        "shifted signs": has(RSign),
        "average pool": has(AveragePool),
        "channel tiling": any(module.tile * module.tile_after > 1 for module in modules
                              if isinstance(module, ConvNorm)),
        "groups and shuffle": has(ChannelShuffle),
        "statistics (sum)": has(ASD),
        "statistics (third moment)": has(InstanceBias),
        "small layers and table": has(SqueezeExcite),
        "run-time shifts": has(InstaPReLU),
        "multi-bit weights": any(conv.weight_bits > 1 for conv in convs) or any(
            module.weight_bits > 1 for module in modules if isinstance(module, Head)),
    }
    return tuple(name for name, needed in wanted.items() if needed)
