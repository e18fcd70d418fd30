"""From a model of ``sw.models`` in integer mode to a graph, module by module, with the very constants that it uses.

Each type of module has one entry in ``HANDLERS``: it adds the module's nodes behind the node ``source`` and returns
the name of the last. Names of nodes are paths of modules with what they do.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sw import ir
from sw.errors import CompileError, UnsupportedLayerError
from sw.frontend.inputs import INPUTS, InputModule, input_node
from sw.nn.activations import (
    ASD,
    InstaThreshold,
    NormalisedSign,
    PlainActivation,
    RSign,
    ScaledSign,
    SqueezeInstaThreshold,
)
from sw.nn.blocks import ChannelShuffle, DoublingUnit, PairUnit, PlainUnit, ResidualUnit
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import AffineConstants, FixedPoint, fixed_point
from sw.nn.head import BinaryHead, Head, MultiBitHead, PooledHead
from sw.nn.nonlinear import (
    SLOPE_SHIFT,
    Hardtanh,
    InstaPReLU,
    Linear,
    PReLU,
    ReLU,
    RPReLU,
    SqueezeInstaPReLU,
    TwoSlopePReLU,
)
from sw.nn.shortcuts import AveragePool, BinaryProjection, ChannelMap, Duplicate, Pad, Projection, Subsample
from sw.nn.statistics import InstanceBias, SqueezeExcite

__all__ = ["HANDLERS", "Builder", "import_integers"]


class Builder:
    """The nodes so far, the format of words, and the shapes that later handlers ask for."""

    def __init__(self, input_shape: ir.Shape, fixed: FixedPoint):
        self.nodes: list[ir.Node] = []
        self.input_shape = input_shape
        self.fixed = fixed
        self._shapes: dict[str, ir.Shape] = {}

    def add(self, node: ir.Node) -> str:
        """Append a node; returns its name. Raises ``CompileError`` if it does not fit its sources."""
        self._shapes[node.name] = node.output_shape(*(self._shapes[source] for source in node.sources))
        self.nodes.append(node)
        return node.name

    def pixels(self, name: str) -> int:
        """Of a node's map."""
        return self._shapes[name][0] * self._shapes[name][1]

    def channels(self, name: str) -> int:
        """Of a node's map."""
        return self._shapes[name][2]

    def module(self, path: str, module: nn.Module, source: str) -> str:
        """Add a module's nodes; returns the name of the last. Raises ``CompileError``."""
        handler = HANDLERS.get(type(module))
        if handler is None:
            raise CompileError(f"{path}: {type(module).__name__} has no integer equivalent; build the model from the "
                               f"parts of sw.nn")
        return handler(self, path, module, source)


def import_integers(model: nn.Sequential, input_shape: ir.Shape, name: str) -> ir.Graph:
    """The graph of a model in integer mode; ``input_shape`` is ``(H, W, C)``.

    ``sw.reference.run`` gives for it what the model gives, score for score. Raises ``UnsupportedLayerError`` with what
    does not fit.
    """
    fixed = fixed_point(model)
    if fixed is None:
        raise CompileError(f"network {name}: its real values have no format yet; choose one with sw.quantise.calibrate")
    builder = Builder(input_shape, fixed)
    source = ""
    for path, child in model.named_children():
        try:
            source = builder.module(path, child, source)
        except CompileError as error:
            # What follows has no source any more.
            raise UnsupportedLayerError([str(error) if str(error).startswith(path) else f"{path}: {error}"]) from None
    return ir.Graph(tuple(builder.nodes), name)


def _integers(values: Tensor) -> NDArray[Any]:
    """Wide ones: the node that takes them refuses what it cannot hold."""
    if not values.isfinite().all():
        raise CompileError("its constants are no finite numbers; train again with a lower learning rate")
    return values.detach().cpu().numpy().astype(np.int64)


def _weights(values: Tensor) -> NDArray[Any]:
    """``(O, C, K, K)`` to ``(O, K, K, C)``."""
    return _integers(values).transpose(0, 2, 3, 1)


def _affine(builder: Builder, name: str, source: str, constants: AffineConstants, bits: int) -> str:
    return builder.add(ir.Affine(name, source, _integers(constants.gain), _integers(constants.offset),
                                 constants.shift, bits))


def _shifted(builder: Builder, name: str, source: str, offsets: Tensor, bits: int) -> str:
    """``saturate(x + offsets)``."""
    ones = torch.ones_like(offsets)
    return _affine(builder, name, source, AffineConstants(ones, offsets, 0), bits)


def _reduced(builder: Builder, name: str, source: str, shift: int) -> str:
    """``x`` shifted right with round half up."""
    if not shift:
        return source
    count = builder.channels(source)
    return builder.add(ir.Affine(name, source, np.ones(count, np.int32), np.zeros(count, np.int64), shift, 32))


def _sequential(builder: Builder, path: str, module: nn.Sequential, source: str) -> str:
    for name, child in module.named_children():
        source = builder.module(f"{path}.{name}", child, source)
    return source


def _input(builder: Builder, path: str, module: InputModule, source: str) -> str:
    return builder.add(input_node(path, builder.input_shape, module))


def _conv_norm(builder: Builder, path: str, module: ConvNorm, source: str, input_scale: Tensor | None = None) -> str:
    conv = module.conv
    flipped = module.flipped(input_scale)
    signs = torch.where(flipped, -1.0, 1.0)
    weights = module.integer_weight(input_scale).detach() * signs[:, None, None, None]
    source = builder.add(ir.Conv(
        f"{path}.conv", source, _weights(weights), conv.stride, conv.padding,
        int(conv.pad_value) if conv.padding else 0, groups=conv.groups, weight_bits=conv.weight_bits))
    if module.pool > 1:
        source = builder.add(ir.MaxPool(f"{path}.pool", source, module.pool))
    source = _tiled(builder, f"{path}.tile", source, module.tile)
    constants = module.constants(input_scale)
    constants = constants._replace(gain=constants.gain * signs.repeat(module.tile))
    source = _affine(builder, f"{path}.norm", source, constants, module.result_bits)
    return _tiled(builder, f"{path}.repeat", source, module.tile_after)


def _tiled(builder: Builder, name: str, source: str, times: int) -> str:
    if times == 1:
        return source
    return builder.add(ir.Select(name, source, np.tile(np.arange(builder.channels(source)), times)))


def _sign(builder: Builder, path: str, module: PlainActivation, source: str) -> str:
    return builder.add(ir.Threshold(path, source, np.zeros(builder.channels(source), np.int32)))


def _rsign(builder: Builder, path: str, module: RSign, source: str) -> str:
    return builder.add(ir.Threshold(path, source, _integers(-module.offsets())))


def _asd(builder: Builder, path: str, module: ASD, source: str) -> str:
    sums = builder.add(ir.GlobalSum(f"{path}.sum", source))
    # x + shift >= 0 is x >= -shift: the table holds thresholds.
    threshold = _squeeze_excite(builder, f"{path}.shift", module.shift, sums,
                                *module.sum_format(builder.pixels(source)), sign=-1)
    return builder.add(ir.Compare(path, source, threshold))


def _squeeze_excite(builder: Builder, path: str, module: SqueezeExcite, source: str, unit: float, bits: int,
                    sign: int = 1) -> str:
    constants = module.constants(unit, bits)
    source = _reduced(builder, f"{path}.reduce", source, constants.reduce)
    source = builder.add(ir.Conv(f"{path}.squeeze", source, _weights(constants.squeeze[:, :, None, None]),
                                 weight_bits=8))
    source = builder.add(ir.Clip(f"{path}.relu", source, 0, 1 << 61))
    source = builder.add(ir.Conv(f"{path}.excite", source, _weights(constants.excite[:, :, None, None]),
                                 weight_bits=8))
    return builder.add(ir.Table(f"{path}.table", source, sign * _integers(constants.table),
                                constants.multiplier, constants.shift))


def _instance_bias(builder: Builder, path: str, module: InstanceBias, source: str) -> str:
    pixels, bits = builder.pixels(source), builder.fixed.sum_bits
    value = _affine(builder, f"{path}.norm", source, module.norm_constants(), module.norm_bits)
    cubes = builder.add(ir.GlobalSum(f"{path}.sum", builder.add(ir.Power(f"{path}.cube", value, 3))))
    bias = _affine(builder, f"{path}.bias", cubes, module.bias_constants(pixels), bits)
    if module.branch is None:
        return bias
    branch = _squeeze_excite(builder, f"{path}.branch", module.branch, cubes, module.unit(pixels),
                             module.sum_bits(pixels))
    return builder.add(ir.Add(f"{path}.add", bias, branch, bits))


def _insta_threshold(builder: Builder, path: str, module: InstaThreshold, source: str) -> str:
    threshold = _instance_bias(builder, f"{path}.threshold", module.threshold, source)
    return builder.add(ir.Compare(path, source, threshold))


def _linear(builder: Builder, path: str, module: Linear, source: str) -> str:
    most = 1 << (builder.fixed.bits - 1)
    return builder.add(ir.Clip(path, source, -most, most - 1))


def _hardtanh(builder: Builder, path: str, module: Hardtanh, source: str) -> str:
    return builder.add(ir.Clip(path, source, -module.limit(), module.limit()))


def _relu(builder: Builder, path: str, module: ReLU, source: str) -> str:
    return builder.add(ir.Clip(path, source, 0, (1 << (builder.fixed.bits - 1)) - 1))


def _slopes(builder: Builder, path: str, module: PReLU | TwoSlopePReLU, source: str) -> str:
    positive, negative = (_integers(slopes) for slopes in module.integer_slopes())
    return builder.add(ir.Slopes(path, source, positive, negative, SLOPE_SHIFT, builder.fixed.bits))


def _rprelu(builder: Builder, path: str, module: RPReLU, source: str) -> str:
    before, after = module.offsets()
    bits = builder.fixed.sum_bits
    shifted = _shifted(builder, f"{path}.before", source, before, bits)
    if isinstance(module, InstaPReLU):
        bias = _instance_bias(builder, f"{path}.instance", module.instance, source)
        shifted = builder.add(ir.Add(f"{path}.shifted", shifted, bias, bits))
    bent = _slopes(builder, f"{path}.slopes", module, shifted)
    return _shifted(builder, f"{path}.after", bent, after, builder.fixed.bits)


def _average_pool(builder: Builder, path: str, module: AveragePool, source: str) -> str:
    return builder.add(ir.AveragePool(path, source, 2))


def _subsample(builder: Builder, path: str, module: Subsample, source: str) -> str:
    return builder.add(ir.Subsample(path, source, 2))


def _channel_map(builder: Builder, path: str, module: ChannelMap, source: str) -> str:
    return builder.add(ir.Select(path, source, np.array(module.channels(), np.int32)))


def _binary_projection(builder: Builder, path: str, module: BinaryProjection, source: str) -> str:
    source = builder.module(f"{path}.pool", module.pool, source)
    bits = builder.module(f"{path}.binarize", module.binarize, source)
    return _conv_norm(builder, f"{path}.conv", module.conv, bits, module.binarize.scale())


def _projection(builder: Builder, path: str, module: Projection, source: str) -> str:
    return _conv_norm(builder, f"{path}.conv", module.conv, builder.module(f"{path}.pool", module.pool, source))


def _branch(builder: Builder, path: str, module: PlainUnit, source: str) -> str:
    bits = builder.module(f"{path}.binarize", module.binarize, source)
    if module.shuffle is not None:
        bits = builder.module(f"{path}.shuffle", module.shuffle, bits)
    return _conv_norm(builder, f"{path}.conv", module.conv, bits, module.binarize.scale())


def _plain_unit(builder: Builder, path: str, module: PlainUnit, source: str) -> str:
    return builder.module(f"{path}.nonlinearity", module.nonlinearity, _branch(builder, path, module, source))


def _joined(builder: Builder, path: str, branch: str, around: str, nonlinearity: tuple[str, nn.Module],
            before: bool) -> str:
    """A branch, its shortcut and their non-linearity, of a path, on either side of the sum."""
    if before:
        branch = builder.module(*nonlinearity, branch)
    total = builder.add(ir.Add(f"{path}.add", branch, around, builder.fixed.bits))
    return total if before else builder.module(*nonlinearity, total)


def _residual_unit(builder: Builder, path: str, module: ResidualUnit, source: str) -> str:
    branch = _branch(builder, path, module, source)
    around = builder.module(f"{path}.shortcut", module.shortcut, source)
    return _joined(builder, path, branch, around, (f"{path}.nonlinearity", module.nonlinearity), module.before)


def _pair_unit(builder: Builder, path: str, module: PairUnit, source: str) -> str:
    first = builder.module(f"{path}.first", module.first, source)
    branch = _branch(builder, f"{path}.second", module.second, first)
    around = builder.module(f"{path}.shortcut", module.shortcut, source)
    nonlinearity = (f"{path}.second.nonlinearity", module.second.nonlinearity)
    return _joined(builder, path, branch, around, nonlinearity, module.before)


def _doubling_unit(builder: Builder, path: str, module: DoublingUnit, source: str) -> str:
    bits = builder.module(f"{path}.binarize", module.binarize, source)
    if module.shuffle is not None:
        bits = builder.module(f"{path}.shuffle", module.shuffle, bits)
    left, right = (_conv_norm(builder, f"{path}.{name}", conv, bits, module.binarize.scale())
                   for name, conv in (("left", module.left), ("right", module.right)))
    branch = builder.add(ir.Concat(f"{path}.concat", left, right))
    around = _tiled(builder, f"{path}.shortcut", source, 2)
    return _joined(builder, path, branch, around, (f"{path}.nonlinearity", module.nonlinearity), module.before)


def _head(builder: Builder, path: str, module: Head, source: str) -> str:
    if isinstance(module, PooledHead):
        source = builder.add(ir.GlobalSum(f"{path}.sum", source))
        source = _reduced(builder, f"{path}.reduce", source, module.reduce)
    weights, offsets = module.integers()
    source = builder.add(ir.Conv(f"{path}.conv", source, _weights(weights),
                                 weight_bits=module.weight_bits))
    return builder.add(ir.Scores(path, source, _integers(offsets)))


def _nothing(builder: Builder, path: str, module: nn.Module, source: str) -> str:
    return source


#: How each type of module, exactly that one, becomes nodes.
HANDLERS: Mapping[type[nn.Module], Callable[[Builder, str, Any, str], str]] = {
    nn.Sequential: _sequential,
    nn.Identity: _nothing,
    **dict.fromkeys(INPUTS, _input),
    ConvNorm: _conv_norm,
    PlainActivation: _sign,
    NormalisedSign: _sign,
    ScaledSign: _sign,
    RSign: _rsign,
    ASD: _asd,
    InstaThreshold: _insta_threshold,
    SqueezeInstaThreshold: _insta_threshold,
    Linear: _linear,
    Hardtanh: _hardtanh,
    ReLU: _relu,
    PReLU: _slopes,
    TwoSlopePReLU: _slopes,
    RPReLU: _rprelu,
    InstaPReLU: _rprelu,
    SqueezeInstaPReLU: _rprelu,
    AveragePool: _average_pool,
    Subsample: _subsample,
    Pad: _channel_map,
    Duplicate: _channel_map,
    ChannelShuffle: _channel_map,
    BinaryProjection: _binary_projection,
    Projection: _projection,
    PlainUnit: _plain_unit,
    ResidualUnit: _residual_unit,
    PairUnit: _pair_unit,
    DoublingUnit: _doubling_unit,
    BinaryHead: _head,
    MultiBitHead: _head,
    PooledHead: _head,
}
