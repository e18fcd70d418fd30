"""Random flips and shifts of batches of images."""

import torch
from torch import Generator, Tensor

__all__ = ["augment"]


def augment(images: Tensor, generator: Generator, *, flip: bool, shift: int) -> Tensor:
    """Images ``(N, C, H, W)``, each mirrored with probability 1/2 and moved by at most ``shift`` pixels.

    Mirrored means left to right. Both directions move independently and uniformly; what comes in from outside
    is 0, black.
    """
    count, _, height, width = images.shape
    columns = torch.arange(width).expand(count, width)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    rows = torch.arange(height).expand(count, height)
    if shift:
        moves = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
        rows, columns = rows + moves[0], columns + moves[1]
        images = torch.nn.functional.pad(images, [shift] * 4)
    elif not flip:
        return images
    chosen = torch.arange(count)[:, None, None]
    return images[chosen, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
