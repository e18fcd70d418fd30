import numpy as np
import pytest

from sw.numerics import (
    argmax_lowest,
    bipolar,
    bits_to_signs,
    black,
    planes,
    quantise_pixels,
    sign,
    signs_to_bits,
    thermometer_levels,
    thermometer_thresholds,
)


@pytest.mark.parametrize(("value", "wanted"), [(-2, -1), (-1, -1), (0, 1), (1, 1), (-0.0, 1), (-1e-30, -1)])
def test_sign_of_zero_is_plus_one(value, wanted):
    assert sign(np.array([value])).tolist() == [wanted]


def test_bit_1_is_plus_one():
    assert signs_to_bits(np.array([-1, 1])).tolist() == [0, 1]
    assert bits_to_signs(np.array([0, 1])).tolist() == [-1, 1]


@pytest.mark.parametrize("bits", range(1, 9))
def test_bipolar_is_the_sum_of_its_planes(bits):
    unsigned = np.arange(1 << bits)
    values = bipolar(unsigned, bits)
    for u in unsigned:
        total = 0
        for k in range(bits):
            total += (1 if u >> k & 1 else -1) << k
        assert values[u] == total
        assert values[u] % 2
    assert values[0] == black(bits)


def test_planes_come_most_significant_first():
    assert planes(np.array([[5, 2]]), 3).tolist() == [[[1, 0]], [[0, 1]], [[1, 0]]]


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_pixels_keep_their_highest_bits(bits):
    pixels = np.arange(256)
    wanted = [int(format(pixel, "08b")[:bits], 2) for pixel in pixels]
    assert quantise_pixels(pixels, bits).tolist() == wanted


def test_pixels_take_their_levels():
    levels = [pixel * 7 % 8 for pixel in range(256)]
    assert quantise_pixels(np.arange(256), 3, levels).tolist() == levels


def test_pixels_become_several_integers_side_by_side():
    levels = [[pixel % 4, pixel // 128] for pixel in range(256)]
    pixels = np.array([[[3, 200]], [[130, 0]]])
    assert quantise_pixels(pixels, 2, levels).tolist() == [[[3, 0, 0, 1]], [[2, 1, 0, 0]]]


@pytest.mark.parametrize(("count", "thresholds"), [
    (1, [128]), (2, [86, 171]), (3, [64, 128, 192]), (5, [43, 86, 128, 171, 214]),
    (7, [32, 64, 96, 128, 160, 192, 224]),
])
def test_thermometer_cuts_the_range_into_equal_parts(count, thresholds):
    assert thermometer_thresholds(count).tolist() == thresholds
    levels = thermometer_levels(count)
    assert levels.shape == (256, count) and levels.dtype == np.uint8
    for pixel, code in enumerate(levels.tolist()):
        reached = sum(pixel >= threshold for threshold in thresholds)
        assert code == [1] * reached + [0] * (count - reached)


def test_argmax_takes_the_lowest_index_of_a_tie():
    assert argmax_lowest(np.array([[1, 3, 3], [2, 2, 2], [-5, -9, -5]])).tolist() == [1, 0, 0]
