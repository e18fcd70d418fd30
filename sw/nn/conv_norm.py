"""A convolution with what follows it directly: max pool, channel tiling, batch norm."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.errors import CompileError
from sw.nn.fixed import AffineConstants, FixedModule, affine_constants
from sw.nn.layers import BinaryConv2d

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
    ``saturate((gain * sum + offset + half) >> shift)`` with the ``constants``, saturated to ``FixedPoint.sum_bits``.
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

    def constants(self, input_scale: Tensor | None = None) -> AffineConstants:
        """Of the integer mode, in which the module must be.

        Raises ``CompileError`` if they do not fit, or for a convolution with real weights.
        """
        assert self.fixed is not None
        if self.conv.real_weights:
            raise CompileError("a convolution has the real weights of the first of two training steps, for which no "
                               "integers stand; train the second step")
        gain, offset = norm_affine(self.norm)
        scale = self.conv.scale()
        if scale is not None:
            gain = gain * scale.double().repeat(self.tile)
        if input_scale is not None:
            gain = gain * input_scale.double()
        if self.takes_words:
            gain = gain / self.fixed.one
        return affine_constants(gain, offset, self.fixed.fraction)

    def flipped(self, input_scale: Tensor | None = None) -> Tensor:
        """Channels ``bool (O,)`` of the convolution whose negative scale stands before the max pool."""
        scale = torch.ones(self.conv.out_channels)
        if self.pool > 1:
            for factor in (self.conv.scale(), input_scale):
                scale = scale if factor is None else scale * factor.detach()
        return scale < 0

    def _sum_type(self) -> torch.dtype:
        """The smallest that holds all sums exactly."""
        most = self.conv.weight[0].numel() * ((1 << self.conv.weight_bits) - 1) * (255 if self.stem else 1)
        return torch.float64 if self.takes_words or most >= 1 << 24 else torch.float32

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
            sums = self.conv.sums(x.to(self._sum_type())).double()
            if self.pool > 1:
                # Of a channel with a negative scale it is the least sum that is greatest then.
                signs = torch.where(self.flipped(input_scale), -1.0, 1.0)[:, None, None]
                sums = functional.max_pool2d(sums * signs, self.pool) * signs
            y = self.constants(input_scale)(sums.repeat(1, self.tile, 1, 1))
            y = self.fixed.saturate(y, self.fixed.sum_bits)
        return y.repeat(1, self.tile_after, 1, 1) if self.tile_after > 1 else y
