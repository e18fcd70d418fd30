"""From trained networks to graphs; the only part of the compiler that imports PyTorch."""

from sw.frontend.torch_import import import_module

__all__ = ["import_module"]
