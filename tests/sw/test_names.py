"""``sw.names`` on names that are right, nearly right and wrong."""

import re

import pytest

from sw.errors import CompileError, DataError
from sw.names import nearest

KNOWN = ("adam", "sgd", "radam")


@pytest.mark.parametrize("name", KNOWN)
def test_known(name):
    assert nearest("optimiser", name, KNOWN, CompileError) == name


@pytest.mark.parametrize("given, expected", [
    ("adams", "unknown optimiser: 'adams'; did you mean 'adam'? There are: adam, sgd, radam"),
    ("SGD", "unknown optimiser: 'SGD'. There are: adam, sgd, radam"),
    ("", "unknown optimiser: ''. There are: adam, sgd, radam"),
])
def test_unknown(given, expected):
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        nearest("optimiser", given, KNOWN, DataError)
