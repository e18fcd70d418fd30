"""The layer descriptor: its fields share no bit, and come back as they went in."""

import random
import re

import pytest

from sw.descriptor import BITS, SEQUENCER_WORDS, WORD_BITS, WORDS
from sw.errors import FitError

FORMATS = {"bits": BITS, "words": WORDS}
FIELDS = [(form, name) for form in FORMATS.values() for name in form.fields]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_fields_share_no_bit(form):
    taken = [(field.word, field.offset + bit) for field in form.fields.values() for bit in range(field.width)]
    assert len(taken) == len(set(taken))
    assert {word for word, _ in taken} == set(range(form.words))
    assert max(bit for _, bit in taken) < WORD_BITS


def test_formats_share_the_sequencer():
    halves = [{name: field for name, field in form.fields.items() if field.word < SEQUENCER_WORDS}
              for form in FORMATS.values()]
    assert halves[0] == halves[1]
    assert {name for name in BITS.fields if name not in halves[0]} == {
        "drain_groups", "drain_pool", "last_steps", "scores", "leaves", "thresholds", "out_address"}
    assert all(form.words == SEQUENCER_WORDS + form.drain_words for form in FORMATS.values())


@pytest.mark.parametrize(("form", "name"), FIELDS)
def test_field_is_in_its_place(form, name):
    field = form.fields[name]
    largest = (1 << field.width) - 1
    words = form.encode("layer", dict.fromkeys(form.fields, 0) | {name: largest})
    expected = [0] * form.words
    expected[field.word] = largest << field.offset
    assert words == tuple(expected)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("seed", range(5))
def test_round_trip(form, seed):
    choose = random.Random(seed)
    values = {name: choose.getrandbits(field.width) for name, field in form.fields.items()}
    words = form.encode("layer", values)
    assert all(0 <= word < 1 << WORD_BITS for word in words)
    assert form.decode(words) == values


@pytest.mark.parametrize(("form", "name"), FIELDS)
@pytest.mark.parametrize("beyond", [1, 1000])
def test_value_beyond_its_field(form, name, beyond):
    field = form.fields[name]
    largest = (1 << field.width) - 1
    message = (f"conv7: {field.meaning} is {largest + beyond}, above what the program's {field.width}-bit field "
               f"holds ({largest}); use a smaller layer or a larger array")
    with pytest.raises(FitError, match=f"^{re.escape(message)}$"):
        form.encode("conv7", dict.fromkeys(form.fields, 0) | {name: largest + beyond})


def test_negative_value():
    with pytest.raises(FitError, match="^conv7: zero padding is -1, "):
        BITS.encode("conv7", dict.fromkeys(BITS.fields, 0) | {"padding": -1})
