"""The engine's shape: what is legal, what is refused, and what follows from it."""

import pytest

from sw.engine import Engine
from sw.errors import FitError

LARGEST = {"rows": 256, "columns": 16, "lanes": 256, "drain": 256, "window_buffers": 2}


@pytest.mark.parametrize(("shape", "synapses", "drain_steps", "text"), [
    ((1, 1, 1), 1, 1, "1 rows x 1 columns x 1 lanes"),
    ((8, 3, 16), 384, 8, "8 rows x 3 columns x 16 lanes"),
    ((12, 5, 8, 4), 480, 3, "12 rows x 5 columns x 8 lanes"),
    ((256, 16, 256, 256), 1 << 20, 1, "256 rows x 16 columns x 256 lanes"),
])
def test_shape(shape, synapses, drain_steps, text):
    engine = Engine(*shape)
    assert (engine.synapses_per_cycle, engine.drain_steps, str(engine)) == (synapses, drain_steps, text)


@pytest.mark.parametrize("name", LARGEST)
@pytest.mark.parametrize("value", [0, -1, "most + 1", 2.0, "8", None])
def test_value_that_no_engine_has(name, value):
    most = LARGEST[name]
    value = most + 1 if value == "most + 1" else value
    shape = {"rows": 8, "columns": 1, "lanes": 8, "drain": 1} | {name: value}
    with pytest.raises(FitError, match=rf"^array {name.replace('_', ' ')} must be an integer from 1 to {most}, not "
                                        rf"{value!r}$"):
        Engine(**shape)


@pytest.mark.parametrize(("lanes", "most"), [(1, 0), (4, 0), (5, 1), (8, 1), (16, 2), (48, 4), (256, 6)])
def test_popcount_stages(lanes, most):
    assert Engine(8, 1, lanes, popcount_stages=most).popcount_stages == most
    for value in (most + 1, -1, 1.0):
        with pytest.raises(FitError, match=rf"^array popcount stages must be an integer from 0 to {most} for {lanes} "
                                            rf"lanes, not {value!r}$"):
            Engine(8, 1, lanes, popcount_stages=value)


@pytest.mark.parametrize(("rows", "lanes", "drain"), [(8, 16, 3), (6, 16, 3), (8, 6, 4), (4, 16, 8)])
def test_drain_that_does_not_divide(rows, lanes, drain):
    message = rf"^array drain {drain} must divide rows {rows} and lanes {lanes}; 1 always does$"
    with pytest.raises(FitError, match=message):
        Engine(rows, 1, lanes, drain)
