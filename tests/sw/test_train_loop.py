"""``sw.train.loop``: a synthetic set is learnt, and learnt alike under a seed."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from sw import models
from sw.errors import CompileError
from sw.nn import BinaryLinear, PixelInput
from sw.train.data import Dataset
from sw.train.loop import Phase, Training, evaluate, phases, total_epochs, train
from sw.train.recipes import Recipe

CNN = Recipe(model="cnn", options={"channels": (8, 8), "pools": (1, 2), "image": (1, 8, 8), "classes": 4},
             epochs=3, batch_size=32, learning_rate=1e-2, shift=1)
MLP = Recipe(model="mlp", options={"hidden": (32, 32), "image": (1, 8, 8), "classes": 4},
             epochs=4, batch_size=32, learning_rate=1e-2)


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_training_follows_its_schedules():
    """Each epoch's tau of ReCU takes effect, and nothing but the first two epochs is compiled."""
    recipe = Recipe(model="resnet8", options={"method": "recu", "widths": (8,), "image": (1, 8, 8), "classes": 4},
                    epochs=6, batch_size=64, learning_rate=1e-2)
    found = []
    for compiled in (False, True):
        torch.manual_seed(1)
        model = models.build(recipe.model, **recipe.options)
        training = Training(model, recipe, DATASET, seed=1, compiled=compiled)
        torch._dynamo.reset()
        counters.clear()
        found.append(list(training.run(progress=False)))
        assert counters["stats"].get("unique_graphs", 0) == compiled
    # Sums in another order part two trainings slowly.
    assert found[0][0].loss == pytest.approx(found[1][0].loss, rel=1e-3)
    assert found[1][-1].loss == pytest.approx(found[0][-1].loss, rel=0.2) and found[1][-1].loss < found[1][0].loss


def test_what_is_not_compiled():
    model = models.build("resnet8", method="ir-net", widths=(8,), image=(1, 8, 8), classes=4)
    with pytest.raises(CompileError, match="binarize: its gradient changes from epoch to epoch, .*; train without"):
        Training(model, replace(CNN, model="resnet8"), DATASET, seed=1, compiled=True)


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


def test_evaluate_takes_a_model_with_buffers_alone():
    assert evaluate(nn.Sequential(PixelInput(8), nn.Flatten(), nn.BatchNorm1d(4, affine=False)),
                    torch.tensor([[[[9, 1], [1, 1]]]], dtype=torch.uint8), torch.tensor([0])) == 1.0


def test_one_image_is_refused():
    one = Dataset(DATASET.train_images[:1], DATASET.train_labels[:1], DATASET.test_images, DATASET.test_labels)
    with pytest.raises(CompileError, match="one training image; batch norm needs at least two"):
        Training(models.build("mlp", **MLP.options), MLP, one, seed=1)


@pytest.mark.parametrize("wins", [0, 1])
def test_results_count_the_images_that_were_seen(wins):
    model = models.build("mlp", **MLP.options)
    # The last image of an epoch of 33 is left out; with one batch, loss and accuracy are those of its 32.
    few = Dataset(DATASET.train_images[:33], torch.zeros(33, dtype=torch.int64), *quadrants(4, 2))
    with torch.no_grad():
        model.scores.offset[wins] = 1e6
    (result,) = Training(model, replace(MLP, epochs=1), few, seed=1).run(progress=False)
    assert result.train_accuracy == 1 - wins
    assert result.loss == pytest.approx(wins * 1e6 * model.scores.scale, rel=1e-3)


def test_learning_rate_of_the_result_is_that_of_the_last_batch():
    rates = [result.learning_rate for result in trained(replace(MLP, epochs=3, warmup_epochs=1))[1]]
    expected = [(1 + math.cos(math.pi * (16 * epoch + 15 - 16) / 32)) / 2 for epoch in (1, 2)]
    assert rates == pytest.approx([MLP.learning_rate * factor for factor in (1.0, *expected)])


TWO_STEP = replace(MLP, epochs=3, real_weight_epochs=2, real_weight_decay=0.01)


def test_phases():
    assert phases(MLP) == (Phase(4, 0.0, False),)
    assert phases(replace(TWO_STEP, weight_decay=0.5)) == (Phase(2, 0.01, True), Phase(3, 0.5, False))
    assert (total_epochs(MLP), total_epochs(TWO_STEP)) == (4, 5)


class Watched(BinaryLinear):
    """Notes the epoch it was set to, and whether it had real weights in the epoch."""

    def __init__(self):
        super().__init__(64, 4)
        self.seen = []

    def set_epoch(self, epoch, epochs):
        self.seen.append((epoch, epochs, self.real_weights))


def test_two_steps(monkeypatch):
    decays, rates = [], []
    step = torch.optim.Adam.step

    def recorded(self, *arguments, **options):
        decays.append(self.param_groups[0]["weight_decay"])
        rates.append(self.param_groups[0]["lr"])
        assert (rates[-1] == rates[0]) == (not self.state)  # a new optimiser for each step
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    torch.manual_seed(1)
    layer = Watched()
    model = nn.Sequential(PixelInput(8), nn.Flatten(), layer, nn.BatchNorm1d(4))
    recipe = replace(TWO_STEP, warmup_epochs=0, weight_decay=0.25)
    results = list(Training(model, recipe, DATASET, seed=1).run(progress=False))
    assert layer.seen == [(0, 2, True), (1, 2, True), (0, 3, False), (1, 3, False), (2, 3, False)]
    assert not layer.real_weights
    assert [result.real_weights for result in results] == [True] * 2 + [False] * 3
    assert decays == [0.01] * 32 + [0.25] * 48
    assert [index for index, rate in enumerate(rates) if rate == MLP.learning_rate] == [0, 32]


TEACHER = {"channels": (4,), "pools": (1,), "image": (1, 8, 8), "classes": 4, "dropout": 0.5}

RESUMED = {
    "adam": replace(CNN, epochs=3),
    "sgd": replace(CNN, epochs=3, optimizer="sgd", schedule="linear", weight_decay=1e-3, flip=True),
    "two steps": replace(CNN, epochs=2, real_weight_epochs=2, real_weight_decay=1e-3, bfloat16=True),
    "dropout": replace(CNN, model="teacher", options=TEACHER, epochs=3),
    "distillation": replace(CNN, epochs=3, distillation=0.5, temperature=2.0),
    "schedules": Recipe("resnet8", {"method": "ir-net", "image": (1, 8, 8), "classes": 4, "widths": (4, 8)}, epochs=3,
                        batch_size=32),
}


def begun(recipe):
    torch.manual_seed(3)
    teacher = models.build("teacher", **TEACHER)
    model = models.build(recipe.model, **recipe.options)
    few = Dataset(DATASET.train_images[:70], DATASET.train_labels[:70], *quadrants(4, 2))
    return Training(model, recipe, few, seed=5, teacher=teacher if recipe.distillation else None)


@pytest.mark.parametrize("name", RESUMED)
def test_going_on_from_a_state_changes_nothing(name):
    recipe = RESUMED[name]
    whole = begun(recipe)
    states, results = [], []
    for result in whole.run(progress=False):
        states.append(whole.state())
        results.append(result)
    for done, state in enumerate(states[:-1], start=1):
        for _ in range(2):  # a state can be used again
            torch.manual_seed(99)
            again = begun(recipe)
            again.restore(state)
            assert again.epochs_done == done
            assert list(again.run(progress=False)) == results[done:]
            for key, tensor in whole.model.state_dict().items():
                assert torch.equal(tensor, again.model.state_dict()[key]), (done, key)


def test_state_of_another_model_is_refused():
    other = replace(CNN, options={**CNN.options, "channels": (8, 6)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        begun(other).restore(begun(CNN).state())
