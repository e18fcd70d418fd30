"""The integer model: what a network means, bit for bit. Everything else is compared with it by ``==``.

Sums are taken by floating-point matrix products, in which integers below ``2**24`` (float32) or ``2**53``
(float64) are exact whatever the order of the additions, and beyond in int64; the type follows from each layer's
reach. All else is computed in integers of 32 or 64 bits. Only ``BatchNorm``, which no lowered network has, is
evaluated in rounded arithmetic (float64): there the exact meaning is that of ``sw.passes.fold_batchnorm``.
"""

from sw.ir import reach
from sw.reference.runner import Result, evaluate, run, trace

__all__ = ["Result", "evaluate", "reach", "run", "trace"]
