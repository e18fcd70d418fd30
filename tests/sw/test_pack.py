"""Memory words, bit by bit: each is looked up where the hardware reads it."""

import numpy as np
import pytest

from sw.engine import Engine
from sw.folding import plan_layer
from sw.layers import chain_of_layers
from sw.pack import pack_image, pack_thresholds, pack_weights, threshold_width
from tests.sw.networks import random_cnn, random_mlp

NETWORKS = {
    "odd words": (random_cnn(1, (6, 6, 3), 4, (13, 6), padding=(1, 0)), Engine(4, 3, 8, 2)),
    "drain as wide as a word": (random_cnn(2, (6, 6, 1), 8, (12, 10)), Engine(8, 1, 8, 8)),
    "word with one lane used": (random_cnn(3, (6, 6, 1), 2, (17, 3), padding=0), Engine(3, 2, 16)),
    "one row": (random_cnn(4, (6, 6, 1), 1, (2, 2)), Engine(1, 1, 2)),
    "one group": (random_cnn(5, (6, 6, 2), 3, (4, 4)), Engine(16, 5, 32, 4)),
    "vector": (random_mlp(6, ((2, 3, 7), 9, 21, 5)), Engine(6, 1, 8, 2)),
}
PLANS = [
    pytest.param(plan_layer(layer, engine), id=f"{name}, {layer.name}")
    for name, (graph, engine) in NETWORKS.items() for layer in chain_of_layers(graph)
]


def lane_of(plan, channel):
    """Word and lane that the engine has a tap's channel in."""
    lanes, drain = plan.engine.lanes, plan.engine.drain
    fan_in = plan.layer.weights[0].size // (plan.kernel[0] * plan.kernel[1])
    word, lane = divmod(channel, lanes)
    if plan.layer.source == "features" and word == (fan_in - 1) // lanes:
        # The drain pushed the last channels in from the top, ``drain`` at a time.
        in_word = fan_in - word * lanes
        pushes = -(-in_word // drain)
        lane += lanes - pushes * drain
    return word, lane


def weight_of(plan, channel, tap, index):
    """The weight that a tap's channel ``index`` has: the layer's kernel, walked as the engine walks it."""
    return plan.layer.weights[channel].reshape(plan.kernel[0] * plan.kernel[1], -1)[tap, index]


@pytest.mark.parametrize("plan", PLANS)
def test_every_weight_is_where_it_is_read(plan):
    rows, lanes = plan.engine.rows, plan.engine.lanes
    taps = plan.kernel[0] * plan.kernel[1]
    channels = plan.layer.weights[0].size // taps
    words = pack_weights(plan)
    assert words.shape == (plan.weight_words, rows * lanes)
    assert set(np.unique(words)) <= {0, 1}
    seen = np.zeros(words.shape, bool)
    for output in range(len(plan.layer.weights)):
        group, row = divmod(output, rows)
        for tap in range(taps):
            for channel in range(channels):
                word, lane = lane_of(plan, channel)
                place = (group * taps + tap) * plan.words + word, row * lanes + lane
                assert words[place] == (weight_of(plan, output, tap, channel) > 0)
                assert not seen[place]
                seen[place] = True
    # Half of the lanes without a channel are 1, rounded down: those match nothing, the others match always.
    free = np.ones((plan.words, lanes), bool)
    for channel in range(channels):
        free[lane_of(plan, channel)] = False
    ones = words.reshape(plan.groups_c, taps, plan.words, rows, lanes) * free[:, None]
    assert (ones.sum(axis=-1) == (free.sum(axis=-1) // 2)[:, None]).all()


@pytest.mark.parametrize("plan", PLANS)
def test_sums_meet_their_thresholds(plan):
    """The array's matches and the packed threshold give the sign, or the score, of the dot product."""
    layer, engine = plan.layer, plan.engine
    random = np.random.default_rng(11)
    taps = plan.kernel[0] * plan.kernel[1]
    channels = layer.weights[0].size // taps
    words, thresholds = pack_weights(plan), pack_thresholds(plan)
    planes = random.integers(0, 2, (layer.planes, taps, channels))
    activations = np.zeros((layer.planes, taps, plan.words, engine.lanes), int)
    for channel in range(channels):
        activations[:, :, *lane_of(plan, channel)] = planes[:, :, channel]
    for output in range(len(layer.weights)):
        group, row = divmod(output, engine.rows)
        total = 0
        for plane in range(layer.planes):
            total *= 2
            for tap in range(taps):
                for word in range(plan.words):
                    weights = words[(group * taps + tap) * plan.words + word].reshape(engine.rows, -1)[row]
                    total += int((weights == activations[plane, tap, word]).sum()) - engine.lanes // 2
        step, offset = divmod(row, engine.drain)
        value = 2 * total - int(thresholds[group * engine.drain_steps + step, offset])
        weights = np.array([[weight_of(plan, output, tap, channel) for channel in range(channels)]
                            for tap in range(taps)], int)
        pixels = sum((2 * plane.astype(int) - 1) << (layer.planes - 1 - index) for index, plane in enumerate(planes))
        dot = int((weights * pixels).sum())
        if layer.is_head:
            assert value == dot + layer.offsets[output]
        else:
            assert value == dot - layer.thresholds[output]


@pytest.mark.parametrize("plan", PLANS)
def test_rows_without_a_channel_give_0(plan):
    """Whatever the activations: every lane with a channel may match, every other one has a 0."""
    engine, taps = plan.engine, plan.kernel[0] * plan.kernel[1]
    words, thresholds = pack_weights(plan), pack_thresholds(plan)
    assert thresholds.shape == (plan.groups_c * engine.drain_steps, engine.drain)
    channels = plan.layer.weights[0].size // taps
    free = np.ones((plan.words, engine.lanes), bool)
    for channel in range(channels):
        free[lane_of(plan, channel)] = False
    last = words[-taps * plan.words:].reshape(taps, plan.words, engine.rows, engine.lanes)
    for row in range(plan.last_rows, engine.rows):
        matches = int((~free | (last[:, :, row] == 0)).sum())
        weight = (1 << plan.layer.planes) - 1
        largest = weight * (2 * matches - taps * plan.words * engine.lanes)
        step, offset = divmod(row, engine.drain)
        assert largest < thresholds[(plan.groups_c - 1) * engine.drain_steps + step, offset]


@pytest.mark.parametrize("name", NETWORKS)
def test_threshold_width(name):
    graph, engine = NETWORKS[name]
    plans = [plan_layer(layer, engine) for layer in chain_of_layers(graph)]
    width = threshold_width(plans)
    values = np.concatenate([pack_thresholds(plan).reshape(-1) for plan in plans]).astype(int)
    assert all(-(1 << (width - 1)) <= value < 1 << (width - 1) for value in values)


@pytest.mark.parametrize(("shape", "bits", "flat"), [
    ((3, 2, 3), 8, False), ((4, 4, 1), 1, False), ((2, 5, 2), 3, False),
    ((1, 1, 8), 1, True), ((1, 1, 13), 1, True), ((3, 5, 2), 1, True), ((1, 1, 1), 1, True),
])
def test_image(shape, bits, flat):
    image = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    values = [int(image[y, x, c]) >> (8 - bits) for y in range(shape[0]) for x in range(shape[1])
              for c in range(shape[2])]
    data = pack_image(image, bits=bits, flat=flat)
    if flat:
        assert len(data) == -(-len(values) // 8)
        assert [data[index // 8] >> index % 8 & 1 for index in range(len(values))] == values
        assert data[-1] >> (len(values) - 1) % 8 + 1 == 0
    else:
        assert list(data) == values


@pytest.mark.parametrize(("width", "bits"), [(5, 1), (2, 3), (1, 8)])
def test_image_of_codes(width, bits):
    random = np.random.default_rng(4)
    image = random.integers(0, 256, (3, 2, 2), dtype=np.uint8)
    levels = random.integers(0, 1 << bits, (256, width))
    data = list(pack_image(image, bits=bits, flat=False, levels=levels))
    assert len(data) == image.size
    for byte, pixel in zip(data, image.reshape(-1), strict=True):
        assert [byte >> bits * index & (1 << bits) - 1 for index in range(width)] == levels[pixel].tolist()
        assert byte >> bits * width == 0
