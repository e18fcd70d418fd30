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


@pytest.mark.parametrize("flip, shift", [(True, 4), (True, 0), (False, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_move_independently_and_channels_together(channels, flip, shift):
    # Each pixel says its image, channel, row and column, so that where it came from can be read from where it is.
    count, height, width = 64, 9, 7
    grid = np.stack(np.meshgrid(*map(np.arange, (count, channels, height, width)), indexing="ij"), -1)
    codes = (grid * [1 << 12, 1 << 8, 1 << 4, 1]).sum(-1) + 1
    found = augment(torch.from_numpy(codes), torch.Generator().manual_seed(5), flip=flip, shift=shift).numpy()
    assert found.shape == codes.shape
    moves = []
    for image, before in zip(found, codes):
        matches = [
            (mirror, down, right)
            for mirror in ([False, True] if flip else [False])
            for down in range(-shift, shift + 1) for right in range(-shift, shift + 1)
            if np.array_equal(image, moved(before[..., ::-1] if mirror else before, down, right))
        ]
        assert len(matches) == 1
        moves += matches
    # Had one draw moved all images, every kind would be one value.
    for kind, varies in zip(zip(*moves), (flip, shift, shift)):
        assert (len(set(kind)) > 1) == bool(varies)
    assert len(set(moves)) > (32 if shift else 1)


def test_nothing_asked_changes_nothing():
    images = torch.arange(8 * 16, dtype=torch.uint8).reshape(8, 1, 4, 4)
    assert augment(images, torch.Generator().manual_seed(1), flip=False, shift=0) is images


def test_views_of_images_are_taken():
    images = torch.arange(4 * 3 * 6 * 5, dtype=torch.uint8).reshape(4, 6, 5, 3)
    view = images.permute(0, 3, 1, 2)
    for shift in (0, 2):
        first, second = (augment(each, torch.Generator().manual_seed(1), flip=True, shift=shift)
                         for each in (view, view.contiguous()))
        assert torch.equal(first, second)


@pytest.mark.parametrize("device", [
    "meta", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
])
def test_result_stays_on_the_device(device):
    images = torch.arange(8 * 3 * 16, dtype=torch.uint8).reshape(8, 3, 4, 4)
    for flip, shift in ((True, 0), (False, 2), (True, 2)):
        here, there = (augment(each, torch.Generator().manual_seed(1), flip=flip, shift=shift)
                       for each in (images, images.to(device)))
        assert there.device.type == device and there.shape == here.shape and there.dtype == here.dtype
        assert device == "meta" or torch.equal(here, there.cpu())
