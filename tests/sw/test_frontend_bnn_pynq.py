"""Archives of BNN-PYNQ's kind against a model of their format, one value at a time; damaged ones are refused."""

import numpy as np
import pytest

from sw import ir
from sw.errors import ArtifactError
from sw.frontend.bnn_pynq import PIXEL_LEVELS, import_bnn_pynq
from sw.passes.verify_lowered import verify_lowered
from sw.reference import run
from tests.sw.networks import random_images
from tests.sw.pynq_archives import make, maps_and_matches, pixel

#: Images and layers: pools of even and of odd maps, a last map of one pixel, of one row, or of several.
NETWORKS = {
    "like CNV": ((11, 11, 3), [(9, 3, 3, 3), (5, 2, 2, 9), (6, 3, 3, 5), (17, 2, 2, 6), (12, 17), (10, 12)]),
    "fully connected over a map": ((6, 5, 2), [(5, 3, 3, 2), (7, 60), (8, 7)]),
    "two pools": ((10, 12, 1), [(4, 1, 1, 1), (5, 3, 3, 4), (6, 2, 2, 5), (3, 1, 1, 6), (4, 6), (3, 4)]),
    "a convolution last": ((4, 4, 2), [(6, 3, 3, 2), (4, 2, 2, 6)]),
}


def imported(tmp_path, arrays, shape):
    np.savez(tmp_path / "net.npz", **arrays)
    return import_bnn_pynq(tmp_path / "net.npz", shape, "net")


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_scalar_model(tmp_path, name):
    shape, layers = NETWORKS[name]
    arrays = make(1, layers)
    graph = verify_lowered(imported(tmp_path, arrays, shape))
    images = random_images(2, shape, count=4)
    images[-1, :, ::2] = np.array([127, 128, 255, 0])[np.arange(images[-1, :, ::2].size) % 4].reshape(
        images[-1, :, ::2].shape)  # where the levels step
    result = run(graph, images, trace=True)
    pooled = {node.source for node in graph.nodes if isinstance(node, ir.MaxPool)}
    bits = [node.name for node in graph.nodes
            if isinstance(node, ir.MaxPool) or isinstance(node, ir.Threshold) and node.name not in pooled]
    fan_in = graph.node("head").weights[0].size
    for index, image in enumerate(images):
        maps, matches = maps_and_matches(arrays, image.tolist())
        assert [result.maps[each][index].tolist() for each in bits] == maps
        assert result.scores[index].tolist() == [2 * count - fan_in for count in matches[:3]]
        assert result.classes[index] == matches.index(max(matches[:3]))
    assert all(0.03 < (result.maps[each] > 0).mean() < 0.97 for each in bits)
    assert graph.metadata["labels"] == ["class 0", "class 1", "class 2"]


def test_levels_of_pixels():
    assert [level - 128 for level in PIXEL_LEVELS] == [pixel(value) for value in range(256)]


def first_sum(arrays, image):
    """The first output's sum over BNN-PYNQ's pixels, doubled."""
    weights = np.unpackbits(arrays["w0"], axis=1)[0].astype(int) * 2 - 1
    return 2 * sum(int(weight) * pixel(value) for weight, value in zip(weights, image.flatten().tolist()))


@pytest.mark.parametrize(("above", "wanted"), [(-1, 1), (0, -1), (1, -1)])
def test_the_first_threshold_is_strict(tmp_path, above, wanted):
    image = random_images(5, (2, 2, 3))[0]
    arrays = make(3, [(4, 2, 2, 3), (3, 4)])
    arrays["t0"][0] = first_sum(arrays, image) + above
    assert run(imported(tmp_path, arrays, (2, 2, 3)), image[None], trace=True).maps["sign1"][0, 0, 0, 0] == wanted


@pytest.mark.parametrize("threshold", range(-2, 7))
def test_a_hidden_threshold_is_strict(tmp_path, threshold):
    """Each number of matches of four inputs, by their weights, against thresholds within and beyond their reach."""
    arrays = make(4, [(4, 1, 1, 1), (6, 4), (3, 6)])
    arrays["t0"][:] = -10_000  # all +1, but the last by the image
    arrays["t0"][3] = 0
    arrays["w0"][3] = 0x80
    arrays["w1"] = np.array([[0x00], [0x10], [0x80], [0xC0], [0xE0], [0xF0]], np.uint8)
    arrays["t1"] = np.array([threshold, threshold, 2, 2, 2, 2], np.int64)
    graph = imported(tmp_path, arrays, (1, 1, 1))
    bits = run(graph, np.array([255, 0], np.uint8).reshape(2, 1, 1, 1), trace=True).maps["sign2"][:, 0, 0, :2] > 0
    assert bits.tolist() == [[0 > threshold, 1 > threshold], [1 > threshold, 0 > threshold]]


def test_thresholds_beyond_reach_are_clamped(tmp_path):
    arrays = make(5, [(3, 1, 1, 2), (3, 3), (3, 3)])
    arrays["t0"] = np.array([-(1 << 62), 0, 1 << 62])
    arrays["t1"] = np.array([-128, 1, 127], np.int8)
    graph = verify_lowered(imported(tmp_path, arrays, (1, 1, 2)))
    maps = run(graph, random_images(6, (1, 1, 2), count=40), trace=True).maps
    for name in ("sign1", "sign2"):
        assert (maps[name][..., 0] == 1).all() and (maps[name][..., 2] == -1).all()


def changed(**changes):
    """An archive of three layers in which arrays are replaced, or left out where the change is ``None``."""
    arrays = make(7, [(4, 3, 3, 1), (5, 16), (6, 5)]) | changes
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(("changes", "message"), [
    ({"w0": None}, "it has no w0; each layer i needs w(i), w(i)_shape and, but for the last, t(i)"),
    ({"w1_shape": None}, "it has no w1_shape; each layer"),
    ({"t1": None}, "it has no t1; each layer"),
    ({"w1": None, "w1_shape": None, "t1": None, "w2": None, "w2_shape": None, "t2": None}, "it has no w1; each layer"),
    ({"t9": np.zeros(3, int)}, "it has no w3; each layer"),
    ({"classes": None}, "it has no classes, the names of the last layer's first outputs"),
    ({"classes": np.array(list("abcdefg"))},
     "classes must be up to 6 strings, as the last layer has outputs, not <U1 (7,)"),
    ({"classes": np.arange(3)}, "classes must be up to 6 strings, as the last layer has outputs, not int64 (3,)"),
    ({"w0_shape": np.array([4, 3, 3])}, "w0_shape must be 4 or 2 positive integers, not [4, 3, 3]"),
    ({"w0_shape": np.array([4, 3, 3, 1.0])}, "w0_shape must be 4 or 2 positive integers, not [4.0, 3.0, 3.0, 1.0]"),
    ({"w1_shape": np.array([5, 0])}, "w1_shape must be 4 or 2 positive integers, not [5, 0]"),
    ({"w0_shape": np.array([4, 9])}, "w0_shape is [4, 9], a fully connected layer; the first must be a convolution"),
    ({"w2_shape": np.array([6, 1, 1, 5])},
     "w2_shape is [6, 1, 1, 5], a convolution behind a fully connected layer"),
    ({"w1_shape": np.array([5, 20])}, "w1_shape is [5, 20], but the map before it has 2 x 2 x 4 values"),
    ({"w0_shape": np.array([4, 3, 3, 2]), "w0": np.zeros((4, 3), np.uint8)},
     "conv1: weights take 2 channels, but image has 1"),
    ({"w0_shape": np.array([4, 5, 5, 1]), "w0": np.zeros((4, 4), np.uint8)}, "conv1: kernel 5 x 5 is larger than"),
    ({"w0": np.ones((4, 9), np.int8)}, "w0 must be bits packed into uint8 (4, 2), not int8 (4, 9)"),
    ({"w1": np.zeros((5, 1), np.uint8)}, "w1 must be bits packed into uint8 (5, 2), not uint8 (5, 1)"),
    ({"w2_shape": np.array([1 << 40, 5])}, "w2 must be bits packed into uint8 (1099511627776, 1), not uint8 (6, 1)"),
    ({"t0": np.zeros(4)}, "t0 must be signed integers (4,), not float64 (4,)"),
    ({"t1": np.zeros(4, int)}, "t1 must be signed integers (5,), not int64 (4,)"),
    ({"t1": np.full(5, 300)},
     "t1 runs from 300 to 300: none of these divides the sums of 16 inputs, so no output depends on the image"),
    ({"t0": np.full(4, -9 * 256 - 12)}, "t0 runs from -2316 to -2316: none of these"),
])
def test_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises(ArtifactError) as caught:
        imported(tmp_path, changed(**changes), (4, 4, 1))
    assert str(caught.value).startswith(f"{tmp_path / 'net.npz'} is no archive of BNN-PYNQ's CNV: {message}")
    assert "\n" not in str(caught.value)


def test_unchanged_is_taken(tmp_path):
    assert imported(tmp_path, changed(), (4, 4, 1)).shape("scores") == (1, 1, 3)


def test_the_map_must_end_in_one_pixel(tmp_path):
    with pytest.raises(ArtifactError, match="scores: scores need a 1 x 1 map, but head is 2 x 2"):
        imported(tmp_path, make(8, [(5, 1, 1, 1), (4, 3, 3, 5)]), (4, 4, 1))


def test_damaged_archive(tmp_path):
    (tmp_path / "net.npz").write_bytes(b"PK")
    with pytest.raises(ArtifactError, match=r"net\.npz is not a whole \.npz archive of arrays$"):
        import_bnn_pynq(tmp_path / "net.npz", (4, 4, 1), "net")
