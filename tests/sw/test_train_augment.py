"""``sw.train.augment`` against a list of all images that it may give."""

import numpy as np
import pytest
import torch

from sw.train.augment import augment


def moved(image, down, right):
    """``image`` (C, H, W) shifted by whole pixels, black coming in."""
    result = np.zeros_like(image)
    height, width = image.shape[1:]
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[:, y, x] = image[:, y - down, x - right]
    return result


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_gives_every_move_and_mirror_and_no_other(flip, shift):
    images = torch.from_numpy(np.random.default_rng(1).integers(1, 256, (1, 2, 6, 5), dtype=np.uint8))
    images = images.repeat(1500, 1, 1, 1)
    result = augment(images, torch.Generator().manual_seed(3), flip=flip, shift=shift)
    assert result.dtype == torch.uint8 and result.shape == images.shape
    image = images[0].numpy()
    legal = {
        moved(source, down, right).tobytes()
        for source in ([image, image[..., ::-1]] if flip else [image])
        for down in range(-shift, shift + 1) for right in range(-shift, shift + 1)
    }
    found = [each.numpy().tobytes() for each in result]
    assert set(found) == legal
    assert max(found.count(each) for each in legal) < 2.5 * len(found) / len(legal)


def test_same_seed_same_images():
    images = torch.arange(8 * 16, dtype=torch.uint8).reshape(8, 1, 4, 4)
    first, second, other = (augment(images, torch.Generator().manual_seed(seed), flip=True, shift=1)
                            for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
