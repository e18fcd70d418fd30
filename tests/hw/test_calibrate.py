"""The calibration of the estimate: the fit, the table's file, and the command with other measurements than Yosys's."""

import numpy as np
import pytest

from hw.build import calibrate
from hw.build.calibrate import ARRAYS, HELD_OUT, fit_coefficients, fitted, relative_error
from hw.calibration import PATH, Calibration, load_calibration
from hw.families import FAMILIES, ICE40
from hw.tools import ToolError


def test_fit_finds_the_coefficients_that_made_the_numbers():
    terms = [(1, 5, 2), (1, 3, 9), (1, 8, 1), (1, 0, 4)]
    cells = [sum(count * each for count, each in zip(row, (300, 7, 2.5), strict=True)) for row in terms]
    coefficients, errors = fit_coefficients(terms, cells)
    assert coefficients == pytest.approx((300, 7, 2.5))
    assert errors == pytest.approx(0, abs=1e-9)


def test_fit_has_no_coefficient_below_0():
    terms = [(1, 4), (1, 8), (1, 16)]
    coefficients, errors = fit_coefficients(terms, [100, 90, 80])
    assert coefficients[1] == 0
    # The least squares of c / n - 1 over the rows, by hand: c = sum(1 / n) / sum(1 / n ** 2).
    inverse = 1 / np.array([100, 90, 80])
    assert coefficients[0] == pytest.approx(inverse.sum() / (inverse**2).sum())
    assert errors == pytest.approx(coefficients[0] * inverse - 1)


def test_command_measures_what_the_table_has():
    table = load_calibration()
    assert (set(table.arrays), set(table.held_out)) == (set(ARRAYS), set(HELD_OUT))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_coefficients_are_those_that_fit_the_table(family):
    table = load_calibration()
    assert table.coefficients[family.name] == pytest.approx(fitted(family, table.arrays), abs=2e-3)


def test_file_is_read_as_it_is_written(tmp_path):
    table = load_calibration()
    assert table.text() == PATH.read_text()
    path = tmp_path / "table.json"
    path.write_text(table.text())
    assert load_calibration(path) == table


class Pool:
    """Takes the place of a pool of processes."""

    def __init__(self, *arguments):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *arguments):
        from concurrent.futures import Future
        future = Future()
        try:
            future.set_result(function(*arguments))
        except ToolError as error:
            future.set_exception(error)
        return future


def test_new_measurements_change_one_family_alone(monkeypatch):
    known = load_calibration()

    def measure(*array):
        if array == ARRAYS[0]:
            raise ToolError("yosys was killed")
        return 2 * known.arrays.get(array, known.held_out.get(array))

    monkeypatch.setattr(calibrate, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(calibrate, "measure", measure)
    lines = []
    found = calibrate.calibrate([ICE40], 1, known, tell=lines.append)
    assert len(lines) == sum(array[1] in ("ice40", "ice40-hx8k", "icestick") for array in (*ARRAYS, *HELD_OUT))
    assert sum(line.endswith("yosys was killed") for line in lines) == 1
    assert ARRAYS[0] not in found.arrays
    for array in ARRAYS[1:]:
        ice40 = array[1].startswith("ice")
        assert found.arrays[array] == known.arrays[array] * (2 if ice40 else 1)
    assert found.coefficients["iCE40"] != known.coefficients["iCE40"]
    assert found.coefficients["ECP5"] == known.coefficients["ECP5"]


def test_fitting_again_measures_nothing(monkeypatch):
    known = load_calibration()
    monkeypatch.setattr(calibrate, "measure", None)
    again = calibrate.calibrate(list(FAMILIES), 0, known)
    assert (again.arrays, again.held_out) == (known.arrays, known.held_out)


def test_error_is_relative_to_what_was_measured():
    array, zero = ("mlp-fashion", "ice40", 8, 1, 32, 4), (1000.0,) + 9 * (0.0,)
    assert relative_error(array, 800, zero) == pytest.approx(0.25)
    assert Calibration({array: 800}, {}, {}).arrays[array] == 800
