"""ResNet-20 of several methods, untrained, on the array that the UP5K holds: all bits, words, scores and cycles."""

import numpy as np
import pytest
import torch

from sim.prepare import make_job
from sim.simulate import simulate
from sw import models
from sw.engine import Engine
from sw.frontend.integer_import import import_integers
from sw.passes import lower
from sw.quantise import calibrate
from tests.sw.networks import random_images

FRAMES = 9


@pytest.mark.slow
@pytest.mark.parametrize(("method", "changes", "shape", "window_buffers", "shared"), [
    ("repbnn", {"bits": 6}, (28, 28, 1), 2, True), ("ir-net", {}, (28, 28, 1), 2, True),
    ("ir-net", {"weights": "wsd"}, (28, 28, 1), 2, False), ("reactnet", {}, (28, 28, 1), 2, False),
    ("ftbnn", {"groups": 2, "before": False, "shortcut": "average-pad"}, (28, 28, 1), 2, False),
    ("recu", {}, (32, 32, 3), 1, True),
])
def test_resnet20(method, changes, shape, window_buffers, shared):
    torch.manual_seed(3)
    height, width, channels = shape
    model = models.build("resnet20", method=method, stem_bits=1, image=(channels, height, width), **changes)
    images = random_images(5, shape, 64)
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        for _ in range(20):  # batch norms take statistics; nothing learns
            model.train()(pixels)
        for parameter in model.parameters():  # thresholds, slopes and offsets that are not all the same
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    calibrate(model.eval(), pixels)
    graph = lower(import_integers(model, shape, f"resnet20-{method}"))
    job = make_job(graph, Engine(8, 3, 16, window_buffers=window_buffers), images[:FRAMES], shared_store=shared)
    simulate(job, name="all", tests=".*")
