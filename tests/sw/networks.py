"""Small random networks in lowered form, as tests of the hardware need them; each a function of its seed."""

import numpy as np

from sw import ir
from sw.numerics import black
from sw.reference import run


def random_images(seed, shape, count=1):
    """8-bit images ``(count, H, W, C)`` of noise; in each second one some run of pixels is almost black."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, int(np.prod(shape))), dtype=np.uint8)
    for image in images[1::2]:
        start, stop = sorted(random.integers(0, len(image) + 1, 2))
        image[start:stop] //= 16
    return images.reshape(count, *shape)


def random_cnn(seed, shape=(8, 8, 1), bits=8, channels=(4, 4), pools=(), classes=3, kernel=3, stride=1,
               padding=1, levels=None):
    """Convolutions of ``channels`` outputs each, then fully connected scores, in lowered form.

    ``pools`` lists the convolutions (from 1) that a 2 x 2 max pool follows. ``kernel``, ``stride`` and
    ``padding`` are integers, or one for each convolution. The first is padded with black, others with zero. ``levels``
    are the input's.
    """
    random = np.random.default_rng(seed)
    kernels, strides, paddings = ([value] * len(channels) if isinstance(value, int) else list(value)
                                  for value in (kernel, stride, padding))
    nodes = [ir.Input("input", shape, bits, levels)]
    depth = nodes[0].output_shape()[2]
    for index, count in enumerate(channels):
        weights = _weights(random, count, kernels[index], kernels[index], depth)
        pad_value = black(bits) if index == 0 and paddings[index] else 0
        nodes.append(ir.Conv(f"conv{index + 1}", nodes[-1].name, weights, strides[index], paddings[index],
                             pad_value))
        nodes.append(_balanced(random, nodes, f"sign{index + 1}"))
        if index + 1 in pools:
            nodes.append(ir.MaxPool(f"pool{index + 1}", nodes[-1].name, 2))
        depth = count
    return _finish(random, nodes, classes, f"random-cnn-{seed}")


def random_mlp(seed, sizes=(16, 8, 8, 4), bits=1):
    """A chain of fully connected layers in lowered form: ``sizes`` are input, hidden layers and classes.

    The input is a map ``1 x 1 x sizes[0]``, or of the shape ``(H, W, C)`` that stands in its place.
    """
    random = np.random.default_rng(seed)
    shape = (1, 1, sizes[0]) if isinstance(sizes[0], int) else tuple(sizes[0])
    nodes = [ir.Input("input", shape, bits)]
    for index, count in enumerate(sizes[1:-1], start=1):
        weights = _weights(random, count, *(shape if index == 1 else (1, 1, sizes[index - 1])))
        nodes.append(ir.Conv(f"linear{index}", nodes[-1].name, weights))
        nodes.append(_balanced(random, nodes, f"sign{index}"))
    return _finish(random, nodes, sizes[-1], f"random-mlp-{seed}")


def _weights(random, *shape):
    return random.choice(np.array([-1, 1], np.int8), shape)


def _sums(random, nodes):
    """Values of the last node on some random images, ``(pixels, C)``."""
    graph = ir.Graph(tuple(nodes), "so-far")
    rows, columns, count = graph.shape(nodes[-1].name)
    head = ir.Conv("h", nodes[-1].name, np.ones((1, rows, columns, count), np.int8))
    probe = ir.Graph((*nodes, head, ir.Scores("s", "h", [0])), "probe")
    images = random_images(int(random.integers(1 << 30)), graph.inputs.shape, count=8)
    return run(probe, images, trace=True).maps[nodes[-1].name].reshape(-1, count)


def _balanced(random, nodes, name):
    """A threshold at a random quantile near the middle of each channel's sums, so that bits vary."""
    sums = _sums(random, nodes)
    quantiles = random.uniform(0.3, 0.7, sums.shape[1])
    thresholds = [round(np.quantile(sums[:, channel], share)) for channel, share in enumerate(quantiles)]
    return ir.Threshold(name, nodes[-1].name, np.array(thresholds, np.int32))


def _finish(random, nodes, classes, name):
    rows, columns, depth = ir.Graph(tuple(nodes), "body").shape(nodes[-1].name)
    nodes.append(ir.Conv("head", nodes[-1].name, _weights(random, classes, rows, columns, depth)))
    nodes.append(ir.Scores("scores", "head", random.integers(-3, 4, classes)))
    return ir.Graph(tuple(nodes), name)
