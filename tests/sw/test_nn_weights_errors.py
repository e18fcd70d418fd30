"""Weight binarizers refuse what they cannot take, with what was given and what is legal."""

import math
import re

import pytest
import torch

from sw.nn import WEIGHT_BINARIZERS, ReCU, TrainableScale


@pytest.mark.parametrize("channels", [0, -1, 2.0, None, "3"])
@pytest.mark.parametrize("name", WEIGHT_BINARIZERS)
def test_channels_must_be_a_positive_integer(name, channels):
    with pytest.raises(ValueError, match=re.escape(f"out_channels must be a positive integer, not {channels!r}")):
        WEIGHT_BINARIZERS[name](channels)


@pytest.mark.parametrize("name", WEIGHT_BINARIZERS)
@pytest.mark.parametrize("shape", [(1, 4), (3, 2, 3, 3)])
def test_weight_of_another_layer(name, shape):
    with pytest.raises(ValueError, match=re.escape(f"of 2 output channels cannot take a weight of shape {shape}")):
        WEIGHT_BINARIZERS[name](2).signs(torch.zeros(shape))


@pytest.mark.parametrize("low, high", [(0.5, 0.9), (0.9, 0.8), (0.9, 1.0), (math.nan, 0.9), (0.9, math.nan)])
def test_tau_out_of_range(low, high):
    with pytest.raises(ValueError, match="must be 0.5 < tau_min <= tau_max < 1, not"):
        ReCU(2, tau_min=low, tau_max=high)


@pytest.mark.parametrize("decay", [-1e-9, math.inf, math.nan])
def test_decay_out_of_range(decay):
    with pytest.raises(ValueError, match=f"decay must be a finite number from 0, not {decay!r}"):
        TrainableScale(2, decay=decay)
