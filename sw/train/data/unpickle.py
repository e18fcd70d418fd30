"""Tables of byte arrays from pickles that may come from anywhere: nothing in them is run."""

import io
import math
import pickle
from typing import Any

import numpy as np

from sw.errors import DataError

__all__ = ["read_table"]


class _Dtype:
    """Takes the place of ``numpy.dtype``: the type code, and no more."""

    def __init__(self, code: object = None, align: object = None, copy: object = None):
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and fields, which mean nothing for bytes."""


class _Array:
    """Takes the place of ``numpy.ndarray`` and of the function that makes an empty one."""

    state: object = None

    def __init__(self, *given: object):
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state


#: What a pickle may name. NumPy's own functions never see the content: they trust it. Each stand-in is a class with
#: ``__setstate__``, because a pickle can set the attributes of any object without one.
_STAND_INS = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,  # NumPy 1
    ("numpy._core.multiarray", "_reconstruct"): _Array,  # NumPy 2
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _STAND_INS:
            raise DataError(f"names {module}.{name}, and may name only arrays")
        return _STAND_INS[module, name]


def read_table(content: bytes, where: str) -> dict[str, Any]:
    """The dictionary that ``content`` pickles, with arrays of ``uint8`` as NumPy arrays.

    Keys are ``str`` or, from Python 2, ASCII ``bytes``; values are arrays, ``bytes``, ``str``, numbers, lists
    and dictionaries. ``where`` begins every message. Raises ``DataError`` when the pickle is damaged, names any
    other class or function (none is imported or called), or holds an array of another type.
    """
    try:
        table = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        if type(table) is dict:
            return {key.decode("ascii") if isinstance(key, bytes) else str(key): _value(value)
                    for key, value in table.items()}
    except DataError as error:
        raise DataError(f"{where} is refused: it {error}") from None
    except Exception as error:  # A damaged pickle raises whatever its opcodes lead to.
        raise DataError(f"{where} is not a whole pickle ({error or type(error).__name__}); copy it again") from None
    raise DataError(f"{where} must be a pickled dictionary, not {type(table).__name__}")


def _value(value: object) -> object:
    if not isinstance(value, _Array):
        return value
    # ndarray.__reduce__: version, shape, type, whether the first index runs fastest, and the bytes.
    match value.state:
        case (int(), tuple(shape), _Dtype(code=b"u1" | "u1"), int(fortran), bytes(raw)):
            if all(isinstance(size, int) and size >= 0 for size in shape) and math.prod(shape) == len(raw):
                return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
    raise DataError("holds an array that is not whole or not of bytes (uint8)")
