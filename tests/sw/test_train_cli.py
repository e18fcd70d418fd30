"""``python -m sw.train`` from the command line."""

import numpy as np
import pytest
import torch

from sw.train import checkpoint
from sw.train.__main__ import main
from sw.train.recipes import RECIPES


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def archive(tmp_path):
    rng = np.random.default_rng(3)
    path = tmp_path / "set.npz"
    labels = rng.integers(0, 3, 60).astype(np.uint8)
    images = (rng.integers(0, 60, (60, 6, 6)) + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    return path


def command(archive, out, *more):
    return ["--model", "mlp", "--option", "hidden=[8]", "--option", "image=[1,6,6]", "--option", "bits=4",
            "--data", "mnist", "--data-dir", str(archive), "--epochs", "2", "--batch-size", "16",
            "--threads", "1", "--seed", "7", "--out", str(out), *more]


def test_trains_and_writes_a_checkpoint(archive, tmp_path, capsys):
    out = tmp_path / "new" / "net.safetensors"
    assert main(command(archive, out, "--learning-rate", "0.01")) == 0
    printed = capsys.readouterr().out
    assert "seed 7, 2 epochs of 60 images of mnist" in printed and f"wrote {out}" in printed
    model, metadata = checkpoint.load(out)
    assert metadata.recipe.options == {"hidden": (8,), "image": (1, 6, 6), "bits": 4}
    assert (metadata.recipe.epochs, metadata.recipe.learning_rate, metadata.seed) == (2, 0.01, 7)
    assert metadata.epochs_done == 2 and metadata.versions["threads"] == "1"
    images = torch.from_numpy(np.load(archive)["x_test"][:, None])
    right = (model(images).argmax(1).numpy() == np.load(archive)["y_test"]).mean()
    assert metadata.test_accuracy == pytest.approx(right)
    assert f"test accuracy {right:.2%}" in printed


def test_same_command_same_file(archive, tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for out in (first, second):
        assert main(command(archive, out)) == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("more, expected", [
    (["--model", "mpl"], "unknown model: 'mpl'; did you mean 'mlp'?"),
    (["--recipe", "mlp-fashion"], "give one of --model and --recipe"),
    (["--data", "imagenet"], "unknown data set: 'imagenet'"),
    (["--data-dir", "no/such/place"], "mnist is not at no/such/place"),
    (["--epochs", "many"], "argument --epochs: invalid int value: 'many'; --help shows"),
    (["--frobnicate"], "unrecognized arguments: --frobnicate; --help shows what there is"),
    (["--epochs", "0"], "--epochs must be at least 1 and below 10000, not 0"),
    (["--batch-size", "1"], "--batch-size must be at least 2"),
    (["--learning-rate", "-1"], "--learning-rate must be at least 1e-09 and below 1, not -1"),
    (["--learning-rate", "nan"], "--learning-rate must be"),
    (["--label-smoothing", "1"], "--label-smoothing must be at least 0 and below 1, not 1"),
    (["--seed", "-1"], "--seed must be at least 0"),
    (["--threads", "0"], "--threads must be at least 1, not 0"),
    (["--option", "hidden"], "--option must be KEY=JSON, such as bits=4, not 'hidden'"),
    (["--option", "hiden=[1]"], "unknown option of mlp: 'hiden'; did you mean 'hidden'?"),
    (["--option", "bits=12"], "bits 1 to 8, not 12"),
    (["--option", "image=[1,28,28]"], "give --option image=[1, 6, 6]"),
    (["--option", "classes=2"], "the model has 2 classes and the data 3; give --option classes=3"),
])
def test_bad_input_is_one_line_and_writes_nothing(archive, tmp_path, capsys, more, expected):
    out = tmp_path / "net.safetensors"
    out.write_text("precious")
    assert main(command(archive, out, *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("sw.train: ") and expected in error and error.count("\n") == 1
    assert out.read_text() == "precious"


@pytest.mark.parametrize("out", ["net.pt", "."])
def test_bad_out(archive, tmp_path, capsys, out):
    assert main(command(archive, tmp_path / out)) == 2
    assert "--out must name a file ending in .safetensors" in capsys.readouterr().err
    assert main(["--model", "mlp"]) == 2


def test_out_in_no_folder(archive, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(command(archive, tmp_path / "file" / "net.safetensors")) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sw.train: {tmp_path / 'file'}") and error.count("\n") == 1


def test_unknown_recipe(capsys):
    assert main(["--recipe", "alexnet", "--out", "x.safetensors"]) == 2
    assert "unknown recipe: 'alexnet'. There are: mlp-fashion" in capsys.readouterr().err


def test_list(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for name in ("cnn", "mlp", "fashion-mnist", "mnist", "channels=[48, 48, 48, 48, 48]", *RECIPES):
        assert name in printed
