"""From a ``torch.nn.Sequential`` of ``sw.nn`` and a few plain modules to a graph that is not lowered yet.

Models with integer-mode parts take the way of ``sw.frontend.integer_import``; here are plain chains.

Each type of module has one entry in ``HANDLERS``. A handler states what it refuses, and returns the node that
the module becomes, or ``None`` if it computes nothing in eval mode.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sw import ir
from sw.errors import CompileError, ExportError, UnsupportedLayerError
from sw.frontend.inputs import INPUTS, InputModule, input_node
from sw.frontend.integer_import import import_integers
from sw.nn import BinaryConv2d, BinaryLinear, ScoreHead, SignActivation
from sw.nn.fixed import FixedModule

__all__ = ["HANDLERS", "State", "import_module"]


@dataclass
class State:
    """What the modules so far have made. ``shape`` is ``None`` behind a module that was refused."""

    input_shape: ir.Shape
    nodes: list[ir.Node] = field(default_factory=list)
    shape: ir.Shape | None = None
    flat: bool = False

    @property
    def source(self) -> str:
        """Name of the last node."""
        return self.nodes[-1].name

    def append(self, node: ir.Node) -> None:
        """Add a node and follow the shape. Raises ``CompileError`` if it does not fit."""
        if self.shape is not None or not self.nodes:
            self.shape = node.output_shape(*([self.shape] if self.shape else []))
        self.nodes.append(node)


def import_module(module: nn.Module, input_shape: ir.Shape, name: str) -> ir.Graph:
    """The graph of a network as it is in eval mode; ``input_shape`` is ``(H, W, C)`` of its images.

    Names of nodes are those of the modules. A model that ``sw.quantise.needs_format`` must be in integer mode. Raises
    ``ExportError`` if it is no ``nn.Sequential``, and ``UnsupportedLayerError`` with every module that has no integer
    equivalent.
    """
    if type(module) is not nn.Sequential:
        raise ExportError(f"network {name}: only an nn.Sequential can be imported, not a {type(module).__name__}; "
                          f"list its layers in one")
    if any(isinstance(part, FixedModule) for part in module.modules()):
        return import_integers(module, input_shape, name)
    state = State(input_shape)
    reasons = []
    modules = list(_leaves(module))
    if not modules or not isinstance(modules[0][1], INPUTS):
        reasons.append(f"{modules[0][0] if modules else name}: the first module must be a PixelInput or a "
                       f"ThermometerInput, which says what of a pixel counts")
        state.nodes.append(ir.Input("input", input_shape, 8))  # so that the others can be looked at
    for path, leaf in modules:
        try:
            handler = HANDLERS.get(type(leaf))
            if handler is None:
                raise CompileError(f"{path}: {type(leaf).__name__} has no integer equivalent; {_remedy(leaf)}")
            node = handler(state, path, leaf)
            if node is not None:
                state.append(node)
        except CompileError as error:
            reasons.append(str(error))
            state.shape = None
    if reasons:
        raise UnsupportedLayerError(reasons)
    return ir.Graph(tuple(state.nodes), name)


def _leaves(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Modules in order of their use, with dotted names; one that is used twice appears twice."""
    names = [path for path, _ in module.named_modules(remove_duplicate=False) if path and "." not in path]
    for name in names:
        child = module.get_submodule(name)
        if type(child) is nn.Sequential:
            yield from _leaves(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _remedy(module: nn.Module) -> str:
    for kinds, remedy in _REMEDIES.items():
        if isinstance(module, kinds):
            return remedy
    return f"use only {', '.join(kind.__name__ for kind in HANDLERS)}"


def _numbers(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy()


def _input(state: State, name: str, module: InputModule) -> ir.Node:
    if state.nodes:
        raise CompileError(f"{name}: a {type(module).__name__} behind {state.source}; only the first module can be one")
    return input_node(name, state.input_shape, module)


def _conv(state: State, name: str, module: BinaryConv2d) -> ir.Node:
    if state.flat:
        raise CompileError(f"{name}: a convolution behind a Flatten; put the Flatten behind the last convolution")
    if module.pad_value != int(module.pad_value):
        raise CompileError(f"{name}: pad_value must be an integer, not {module.pad_value}")
    _refuse_scale(name, module)
    weights = _numbers(module.binary_weight()).transpose(0, 2, 3, 1)
    pad_value = int(module.pad_value) if module.padding else 0
    return ir.Conv(name, state.source, weights, module.stride, module.padding, pad_value, groups=module.groups)


def _refuse_scale(name: str, module: BinaryConv2d | BinaryLinear) -> None:
    if module.scale() is not None:
        raise CompileError(f"{name}: {type(module.binarizer).__name__} scales the sums; put the convolution into a "
                           f"sw.nn.conv_norm.ConvNorm, or take a binarizer without a scale")


def _linear(state: State, name: str, module: BinaryLinear) -> ir.Node | None:
    if not state.flat:
        raise CompileError(f"{name}: a fully connected layer takes vectors; put a Flatten before it")
    _refuse_scale(name, module)
    if state.shape is None:
        return None
    height, width, channels = state.shape
    if module.in_features != height * width * channels:
        raise CompileError(f"{name}: takes {module.in_features} features, but {state.source} is {height} x {width} "
                           f"x {channels}; give it {height * width * channels}")
    # Flatten has made vectors of (C, H, W).
    weights = _numbers(module.binary_weight()).reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return ir.Conv(name, state.source, weights)


def _batch_norm(state: State, name: str, module: nn.BatchNorm1d | nn.BatchNorm2d) -> ir.Node:
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        raise CompileError(f"{name}: without running statistics it depends on the batch; "
                           f"use track_running_stats=True")
    count = module.num_features
    gain = _numbers(module.weight) if module.affine else np.ones(count, np.float32)
    bias = _numbers(module.bias) if module.affine else np.zeros(count, np.float32)
    return ir.BatchNorm(name, state.source, gain, bias, _numbers(mean), _numbers(variance), module.eps)


def _max_pool(state: State, name: str, module: nn.MaxPool2d) -> ir.Node:
    size = _one(module.kernel_size)
    if (size is None or _one(module.stride) != size or _one(module.padding) != 0 or _one(module.dilation) != 1
            or module.ceil_mode):
        raise CompileError(f"{name}: {module} is not a square pool whose stride is its size, without padding, "
                           f"dilation or ceil_mode; use MaxPool2d(2)")
    return ir.MaxPool(name, state.source, size)


def _one(value: Any) -> int | None:
    """The integer that both axes have, if there is one."""
    pair = {value} if isinstance(value, int) else set(value)
    return pair.pop() if len(pair) == 1 else None


def _flatten(state: State, name: str, module: nn.Flatten) -> None:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise CompileError(f"{name}: {module} does not make one vector of an image; use Flatten()")
    state.flat = True


def _scores(state: State, name: str, module: ScoreHead) -> ir.Node:
    if not state.flat:
        raise CompileError(f"{name}: a ScoreHead takes vectors; put it behind a fully connected layer")
    return ir.Scores(name, state.source, _numbers(module.rounded_offset()))


def _nothing(state: State, name: str, module: nn.Module) -> None:
    return None


#: How each type of module, exactly that one, becomes a node.
HANDLERS: Mapping[type[nn.Module], Callable[[State, str, Any], ir.Node | None]] = {
    **dict.fromkeys(INPUTS, _input),
    BinaryConv2d: _conv,
    BinaryLinear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    SignActivation: lambda state, name, module: ir.Sign(name, state.source),
    nn.MaxPool2d: _max_pool,
    nn.Flatten: _flatten,
    ScoreHead: _scores,
    nn.Identity: _nothing,
    nn.Dropout: _nothing,
    nn.Dropout2d: _nothing,
}

#: What to do about modules that people bring.
_REMEDIES: Mapping[tuple[type[nn.Module], ...], str] = {
    (nn.Conv1d, nn.Conv2d, nn.Conv3d): "use sw.nn.BinaryConv2d and train again",
    (nn.Linear,): "use sw.nn.BinaryLinear and train again",
    (nn.ReLU, nn.ReLU6, nn.PReLU, nn.LeakyReLU, nn.Hardtanh, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU):
        "use sw.nn.SignActivation and train again",
    (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d): "use nn.MaxPool2d, or a Flatten",
    (nn.Softmax, nn.LogSoftmax): "leave it out; the class is the highest score without it",
}
