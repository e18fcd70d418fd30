"""A convolution with what follows it directly: max pool, channel tiling, batch norm."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.errors import CompileError
from sw.nn.fixed import AffineConstants, FixedModule, affine_constants
from sw.nn.layers import BinaryConv2d
from sw.nn.multi_bit import MultiBit

__all__ = ["ConvNorm", "norm_affine"]


def norm_affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Gain and offset ``float64 (C,)`` of a batch norm in eval mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return gain, norm.bias.double() - gain * norm.running_mean.double()


class ConvNorm(FixedModule):
    """``(N, C, H, W)`` to ``BatchNorm(tile(max_pool(conv(x))))``, ``(N, tile * O, H', W')``.

    ``pool`` is the side of the max pool, 1 for none. ``tile`` repeats the channels as blocks: channel ``j`` of the
    result is accumulator ``j mod O``, each with a batch norm of its own (RepConv: Shi et al., "RepBNN", 2022). Where
    the layer is the ``stem``, of an image, that form leaves its convolution alone and ``tile_after`` repeats the
    result.

    ``x`` holds integers, +-1 or pixels, or with ``takes_words`` reals that are words in integer mode. ``input_scale``
    of the call is a gain that the layer before left to this one. In integer mode the result is
    ``saturate((gain * sum + offset + half) >> shift)`` with the ``constants``, of ``result_bits`` bits.

    Where the format has one shift for all layers, the gain of weights of several bits can be too small for it. Their
    unit is then so much larger that the gain is a whole number: ``integer_weight``.
    """

    def __init__(self, conv: BinaryConv2d, *, pool: int = 1, stem: bool = False, tile: int = 1, tile_after: int = 1,
                 takes_words: bool = False):
        super().__init__()
        self.conv = conv
        self.pool = pool
        self.stem = stem
        self.tile = tile
        self.tile_after = tile_after
        self.takes_words = takes_words
        self.norm = nn.BatchNorm2d(conv.out_channels * tile)

    @property
    def out_channels(self) -> int:
        """Channels of the result."""
        return self.conv.out_channels * self.tile * self.tile_after

    def repeated(self, beta: int) -> "ConvNorm":
        """The RepTran form: as many weights, on ``beta`` times the channels; a first layer is tiled instead."""
        conv = self.conv
        if self.stem:
            return ConvNorm(conv, pool=self.pool, stem=True, tile_after=self.tile_after * beta)
        if self.takes_words:
            return ConvNorm(conv.like(conv.in_channels * beta, conv.out_channels * beta), pool=self.pool,
                            takes_words=True)
        if conv.out_channels % beta:
            raise ValueError(f"beta must divide the {conv.out_channels} output channels of a convolution, not {beta}")
        return ConvNorm(conv.like(conv.in_channels * beta, conv.out_channels // beta), pool=self.pool,
                        tile=self.tile * beta ** 2)

    @property
    def result_bits(self) -> int:
        """Width of the result in integer mode: that of a sum's part, or of a word, which a first layer's is."""
        assert self.fixed is not None
        return self.fixed.bits if self.stem else self.fixed.sum_bits

    def _affine(self, input_scale: Tensor | None) -> tuple[Tensor, Tensor]:
        """Gain and offset of the sums, which are real."""
        assert self.fixed is not None
        gain, offset = norm_affine(self.norm)
        scale = self.conv.scale()
        if scale is not None:
            gain = gain * scale.double().repeat(self.tile)
        if input_scale is not None:
            gain = gain * input_scale.double()
        if self.takes_words:
            gain = gain / self.fixed.one
        return gain, offset

    def _coarser(self, gain: Tensor) -> Tensor | None:
        """By how much the units of the weights ``(O,)`` grow; None where they stay."""
        assert self.fixed is not None
        if self.fixed.shift is None or not isinstance(self.conv.binarizer, MultiBit) or self.tile > 1:
            return None
        steps = gain.detach().abs() * 2.0 ** (self.fixed.fraction + self.fixed.shift)
        return torch.where(steps > 0, steps.ceil() / steps, 1.0)

    def constants(self, input_scale: Tensor | None = None) -> AffineConstants:
        """Of the integer mode, in which the module must be.

        Raises ``CompileError`` if they do not fit, or for a convolution with real weights.
        """
        assert self.fixed is not None
        if self.conv.real_weights:
            raise CompileError("a convolution has the real weights of the first of two training steps, for which no "
                               "integers stand; train the second step")
        gain, offset = self._affine(input_scale)
        coarser = self._coarser(gain)
        return affine_constants(gain if coarser is None else gain * coarser, offset, self.fixed.fraction,
                                self.fixed.shift)

    def integer_weight(self, input_scale: Tensor | None = None) -> Tensor:
        """The weights of integer mode, in which the module must be, in the shape of ``conv.weight``."""
        coarser = self._coarser(self._affine(input_scale)[0])
        if coarser is None:
            return self.conv.binary_weight()
        assert isinstance(self.conv.binarizer, MultiBit)
        return self.conv.binarizer.signs(self.conv.weight, coarser)

    def flipped(self, input_scale: Tensor | None = None) -> Tensor:
        """Channels ``bool (O,)`` of the convolution whose negative scale stands before the max pool."""
        scale = torch.ones(self.conv.out_channels)
        if self.pool > 1:
            for factor in (self.conv.scale(), input_scale):
                scale = scale if factor is None else scale * factor.detach()
        return scale < 0

    def _reach(self) -> int:
        """A magnitude that no sum exceeds in integer mode."""
        assert self.fixed is not None
        value = 255 if self.stem else 1 << self.fixed.bits if self.takes_words else 1
        return self.conv.weight[0].numel() * ((1 << self.conv.weight_bits) - 1) * value

    def forward(self, x: Tensor, input_scale: Tensor | None = None) -> Tensor:
        """See the class."""
        if self.fixed is None:
            y = self.conv(x)
            if input_scale is not None:
                y = y * input_scale
            if self.pool > 1:
                y = functional.max_pool2d(y, self.pool)
            y = self.norm(y.repeat(1, self.tile, 1, 1) if self.tile > 1 else y)
        else:
            reach = self._reach()
            kind = torch.float32 if reach < 1 << 24 else torch.float64
            constants = self.constants(input_scale)
            sums = self.conv.sums(x.to(kind), self.integer_weight(input_scale)).double()
            if self.pool > 1:
                # Of a channel with a negative scale it is the least sum that is greatest then.
                signs = torch.where(self.flipped(input_scale), -1.0, 1.0)[:, None, None]
                sums = functional.max_pool2d(sums * signs, self.pool) * signs
            y = constants(sums.repeat(1, self.tile, 1, 1) if self.tile > 1 else sums, reach)
            y = self.fixed.saturate(y, self.result_bits)
        return y.repeat(1, self.tile_after, 1, 1) if self.tile_after > 1 else y
