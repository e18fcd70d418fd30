"""``sw.train.loop``: a synthetic set is learnt, and learnt alike under a seed."""

import math
from dataclasses import replace

import pytest
import torch

from sw import models
from sw.train.data import Dataset
from sw.train.loop import evaluate, train
from sw.train.recipes import Recipe

CNN = Recipe(model="cnn", options={"channels": (8, 8), "pools": (1, 2), "image": (1, 8, 8), "classes": 4},
             epochs=4, batch_size=32, learning_rate=1e-2, shift=1)
MLP = Recipe(model="mlp", options={"hidden": (32, 32), "image": (1, 8, 8), "classes": 4},
             epochs=6, batch_size=32, learning_rate=5e-3)


@pytest.fixture(autouse=True)
def one_thread():
    """Results are promised to be equal for equal numbers of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quadrants(count, seed):
    """Noise with one bright quarter; its place is the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    images = torch.randint(0, 90, (count, 1, 8, 8), generator=generator)
    for image, label in zip(images, labels):
        row, column = divmod(int(label), 2)
        image[:, 4 * row:4 * row + 4, 4 * column:4 * column + 4] += 110
    return images.to(torch.uint8), labels


# 513 images: the last batch of an epoch, of one image, is left out.
DATASET = Dataset(*quadrants(513, 1), *quadrants(200, 2))


def trained(recipe, seed=1):
    torch.manual_seed(seed)
    model = models.build(recipe.model, **recipe.options)
    results = []
    train(model, recipe, DATASET, seed=seed, after_epoch=results.append, progress=False)
    return model, results


@pytest.mark.parametrize("recipe", [CNN, MLP, replace(CNN, bfloat16=True, label_smoothing=0.1)])
def test_learns_and_repeats(recipe):
    model, results = trained(recipe)
    assert [result.epoch for result in results] == list(range(1, recipe.epochs + 1))
    assert results[-1].loss < results[0].loss
    accuracy = evaluate(model, DATASET.test_images, DATASET.test_labels)
    assert accuracy > 0.9 and results[-1].train_accuracy > 0.8
    again, again_results = trained(recipe)
    assert again_results == results
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    other, _ = trained(replace(recipe, epochs=1), seed=2)
    assert not torch.equal(other.head.weight, model.head.weight)


def test_score_offsets_move_as_logits_do():
    model, _ = trained(replace(MLP, epochs=1, warmup_epochs=0))
    # Adam moves a parameter by about its learning rate a step, of which there are 16 on a falling cosine.
    moved = model.scores.offset.abs().max() * model.scores.scale / MLP.learning_rate
    assert 1.5 < moved <= 16


def test_learning_rate_warms_up_and_falls_to_zero(monkeypatch):
    rates = []
    step = torch.optim.Adam.step

    def recorded(self, *arguments, **options):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    trained(replace(MLP, epochs=3, warmup_epochs=1))
    batches, total = 16, 48
    expected = [(i + 1) / batches if i < batches
                else (1 + math.cos(math.pi * (i - batches) / (total - batches))) / 2 for i in range(total)]
    assert rates == pytest.approx([factor * MLP.learning_rate for factor in expected])


def test_evaluate_counts_right_answers():
    class Fixed(torch.nn.Module):
        def forward(self, images):
            return torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 4).float()

    images = torch.arange(1001).remainder(4).to(torch.uint8).reshape(-1, 1, 1, 1)
    labels = torch.zeros(1001, dtype=torch.int64)
    assert evaluate(Fixed(), images, labels) == 251 / 1001
