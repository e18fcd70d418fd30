"""Random flips and shifts of batches of images."""

import torch
from torch import Generator, Tensor
from torch.nn import functional

__all__ = ["augment"]


def augment(images: Tensor, generator: Generator, *, flip: bool, shift: int) -> Tensor:
    """Images ``(N, C, H, W)``, each mirrored with probability 1/2 and moved by at most ``shift`` pixels.

    Mirrored means left to right. Both directions move independently and uniformly; what comes in from outside
    is 0, black. ``flip=True, shift=4`` is the usual augmentation of CIFAR-10 (He et al., "Deep Residual Learning
    for Image Recognition", CVPR 2016): a crop of 32 x 32 from the image with 4 pixels of zeros on each side.

    The result is on the device of ``images``. The generator is one of the CPU, so that a seed gives the same
    moves on every device.
    """
    count, channels, height, width = images.shape
    device = images.device
    columns = torch.arange(width, device=device).expand(count, width)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored.to(device), width - 1 - columns, columns)
    rows = torch.arange(height, device=device).expand(count, height)
    if shift:
        moves = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator).to(device)
        rows, columns = rows + moves[0], columns + moves[1]
        images = functional.pad(images, [shift] * 4)
    elif not flip:
        return images
    # One index for all channels of a pixel, into its flattened plane: faster than indexing rows and columns.
    places = (rows[:, :, None] * images.shape[3] + columns[:, None, :]).reshape(count, 1, height * width)
    return images.flatten(2).gather(2, places.expand(-1, channels, -1)).view(count, channels, height, width)
