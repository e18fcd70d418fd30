"""The layer descriptor: its fields share no bit, and come back as they went in."""

import random
import re

import pytest

from sw.descriptor import DRAIN_WORDS, FIELDS, SEQUENCER_WORDS, WORD_BITS, WORDS, decode, encode
from sw.errors import FitError

DRAIN_FIELDS = {"drain_groups", "drain_pool", "last_steps", "scores", "thresholds", "out_address"}


def test_fields_share_no_bit():
    taken = [(field.word, field.offset + bit) for field in FIELDS.values() for bit in range(field.width)]
    assert len(taken) == len(set(taken))
    assert {word for word, _ in taken} == set(range(WORDS))
    assert max(bit for _, bit in taken) < WORD_BITS


def test_drain_fields_follow_those_of_the_sequencer():
    assert WORDS == SEQUENCER_WORDS + DRAIN_WORDS
    assert {name for name, field in FIELDS.items() if field.word >= SEQUENCER_WORDS} == DRAIN_FIELDS


@pytest.mark.parametrize("name", FIELDS)
def test_field_is_in_its_place(name):
    field = FIELDS[name]
    largest = (1 << field.width) - 1
    words = encode("layer", dict.fromkeys(FIELDS, 0) | {name: largest})
    expected = [0] * WORDS
    expected[field.word] = largest << field.offset
    assert words == tuple(expected)


@pytest.mark.parametrize("seed", range(5))
def test_round_trip(seed):
    choose = random.Random(seed)
    values = {name: choose.getrandbits(field.width) for name, field in FIELDS.items()}
    words = encode("layer", values)
    assert all(0 <= word < 1 << WORD_BITS for word in words)
    assert decode(words) == values


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("beyond", [1, 1000])
def test_value_beyond_its_field(name, beyond):
    field = FIELDS[name]
    largest = (1 << field.width) - 1
    message = (f"conv7: {field.meaning} is {largest + beyond}, above what the program's {field.width}-bit field "
               f"holds ({largest}); use a smaller layer or a larger array")
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        encode("conv7", dict.fromkeys(FIELDS, 0) | {name: largest + beyond})


def test_negative_value():
    with pytest.raises(FitError, match="^conv7: zero padding is -1, "):
        encode("conv7", dict.fromkeys(FIELDS, 0) | {"padding": -1})
