"""The first module of a network becomes the graph's input."""

from sw import ir
from sw.nn.layers import PixelInput, ThermometerInput
from sw.numerics import thermometer_levels

__all__ = ["INPUTS", "InputModule", "input_node"]

InputModule = PixelInput | ThermometerInput

#: Modules that can be a network's first.
INPUTS = (PixelInput, ThermometerInput)


def input_node(name: str, shape: ir.Shape, module: InputModule) -> ir.Input:
    """What takes images ``(H, W, C)`` in as ``module`` does."""
    if isinstance(module, ThermometerInput):
        return ir.Input(name, shape, 1, thermometer_levels(module.count))
    return ir.Input(name, shape, module.bits)
