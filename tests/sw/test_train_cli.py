"""``python -m sw.train`` from the command line."""

import hashlib
import struct

import numpy as np
import pytest
import torch

from sw import models
from sw.models.methods import METHODS
from sw.train import checkpoint, run
from sw.train.__main__ import main
from sw.train.recipes import RECIPES, SETTINGS
from tests.sw.train_command import command, log_of, on, trained_teacher, write_archive


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path / "set.npz")


def test_trains_and_writes_a_checkpoint_and_a_log(archive, tmp_path, capsys):
    out = tmp_path / "new" / "net.safetensors"
    assert main(command(archive, out, "--learning-rate", "0.01")) == 0
    printed = capsys.readouterr().out
    assert "seed 7, 2 epochs of 60 images of mnist on cpu" in printed and f"wrote {out}" in printed
    model, metadata = checkpoint.load(out)
    assert metadata.recipe.options == {"hidden": (8,), "image": (1, 6, 6), "bits": 4, "classes": 3}
    assert (metadata.recipe.epochs, metadata.recipe.learning_rate, metadata.seed) == (2, 0.01, 7)
    assert metadata.epochs_done == 2 and metadata.versions["threads"] == "1"
    assert (metadata.limit, metadata.image_size, metadata.teacher_sha256) == (None, None, None)
    images = torch.from_numpy(np.load(archive)["x_test"][:, None])
    right = (model(images).argmax(1).numpy() == np.load(archive)["y_test"]).mean()
    assert metadata.test_accuracy == pytest.approx(right)
    assert f"test accuracy {right:.2%}" in printed
    first, last = log_of(out.with_suffix(".csv"))
    assert (first["epoch"], first["test_accuracy"]) == ("1", "")
    assert float(last["test_accuracy"]) == metadata.test_accuracy
    accuracy = float(last["train_accuracy"])
    assert f"epoch 2/2: loss {float(last['loss']):.4f}, training accuracy {accuracy:.2%}" in printed
    assert sorted(each.name for each in out.parent.iterdir()) == ["net.csv", "net.safetensors"]


def test_same_command_same_file(archive, tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for out in (first, second):
        assert main(command(archive, out)) == 0
    assert first.read_bytes() == second.read_bytes()


def test_every_setting_can_be_given(archive, tmp_path):
    values = {"epochs": 2, "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.5, "schedule": "linear",
              "warmup_epochs": 0.5, "weight_decay": 0.125, "label_smoothing": 0.25, "distillation": 0.5,
              "temperature": 2.0, "real_weight_epochs": 1, "real_weight_decay": 0.25, "flip": True, "shift": 1,
              "bfloat16": True}
    assert {*values, "word_bits", "word_fraction"} == set(SETTINGS)  # those two are of fine-tuning
    teacher = trained_teacher(archive, tmp_path)
    more = ["--teacher", str(teacher), "--evaluate-every", "1", "--limit", "50"]
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        more += [flag] if value is True else [flag, str(value)]
    out = tmp_path / "net.safetensors"
    assert main(command(archive, out, *more)) == 0
    _, metadata = checkpoint.load(out)
    assert {name: getattr(metadata.recipe, name) for name in SETTINGS} == {**values, "word_bits": 0, "word_fraction": 0}
    assert metadata.limit == 50 and metadata.epochs_done == 3
    assert metadata.teacher_sha256 == hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert all(row["test_accuracy"] for row in log_of(out.with_suffix(".csv")))


def test_switches_of_a_recipe_can_be_turned_off(archive, tmp_path):
    out = tmp_path / "net.safetensors"
    assert RECIPES["cnn-small-fashion"].flip and RECIPES["cnn-small-fashion"].bfloat16
    for more, expected in ([], True), (["--no-flip", "--no-bfloat16"], False):
        assert main(["--recipe", "cnn-small-fashion", *on(archive, out, "--epochs", "1", *more)]) == 0
        recipe = checkpoint.load(out)[1].recipe
        assert (recipe.flip, recipe.bfloat16) == (expected, expected)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(archive, tmp_path, capsys, method):
    out = tmp_path / "net.safetensors"
    more = ("--method", method, "--option", "widths=[4,8]", "--epochs", "1", "--limit", "20", "--distillation", "0",
            "--real-weight-epochs", "0")
    assert main(["--model", "resnet8", *on(archive, out, *more)]) == 0
    _, metadata = checkpoint.load(out)
    assert metadata.recipe.options["method"] == method and metadata.recipe.shift == 4
    assert f"resnet8 with {method}: " in capsys.readouterr().out
    assert (metadata.limit, metadata.test_accuracy is None) == (20, False)


@pytest.mark.parametrize("more, expected", [
    (["--model", "mpl"], "unknown model: 'mpl'; did you mean 'mlp'?"),
    (["--recipe", "mlp-fashion"], "give one of --model, --recipe and --fine-tune"),
    (["--method", "recu"], "mlp takes no --method; leave it out, or give a --model that does: cnv, "),
    (["--model", "resnet8", "--method", "recuu"], "unknown method: 'recuu'; did you mean 'recu'? There are: ir-net, "),
    (["--option", 'method="recu"'], "give the method with --method"),
    (["--data", "imagenet"], "unknown data set: 'imagenet'"),
    (["--data-dir", "no/such/place"], "mnist is not at no/such/place"),
    (["--image-size", "28"], "--image-size is for the data set folder"),
    (["--image-size", "28x"], "argument --image-size: invalid size value: '28x'"),
    (["--image-size", "3x4x5"], "argument --image-size: invalid size value: '3x4x5'"),
    (["--epochs", "many"], "argument --epochs: invalid int value: 'many'; --help shows"),
    (["--frobnicate"], "unrecognized arguments: --frobnicate; --help shows what there is"),
    (["--epochs", "0"], "epochs must be a whole number from 1 to 10000, not 0"),
    (["--learning-rate", "nan"], "learning_rate must be from 1e-09 to 1, not nan"),
    (["--optimizer", "adamw"], "optimizer must be one of adam, sgd, not 'adamw'"),
    (["--seed", "-1"], "--seed must be at least 0"),
    (["--threads", "0"], "--threads must be at least 1, not 0"),
    (["--evaluate-every", "0"], "--evaluate-every must be at least 1, not 0"),
    (["--limit", "1"], "--limit must be from 2 to 60, the training images that there are, not 1"),
    (["--limit", "61"], "--limit must be from 2 to 60, the training images that there are, not 61"),
    (["--device", "tpu"], "--device must be one of cpu, cuda, auto, not 'tpu'"),
    (["--option", "hidden"], "--option must be KEY=JSON, such as bits=4, not 'hidden'"),
    (["--option", "hiden=[1]"], "unknown option of mlp: 'hiden'; did you mean 'hidden'?"),
    (["--option", "bits=12"], "bits 1 to 8, not 12"),
    (["--option", "image=[1,28,28]"], "give --option image=[1, 6, 6]"),
    (["--option", "classes=2"], "the model has 2 classes and the data 3; give --option classes=3"),
    (["--distillation", "0.5"], "distillation 0.5 needs --teacher FILE; make one with python -m sw.train --model "),
    (["--distillation", "0.5"], "--model teacher --data mnist --out teacher.safetensors, or give --distillation 0"),
    (["--teacher", "t.safetensors"], "--teacher means nothing with distillation 0"),
    (["--compile", "--model", "resnet8", "--method", "ir-net"], ": its gradient changes from epoch to epoch, and each"),
    (["--teacher", "t.safetensors", "--distillation", "1"], "there is no checkpoint t.safetensors"),
])
def test_bad_input_is_one_line_and_writes_nothing(archive, tmp_path, capsys, more, expected):
    out = tmp_path / "net.safetensors"
    out.write_text("precious")
    arguments = command(archive, out, *more)
    assert main(arguments[4:] if "resnet8" in more else arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("sw.train: ") and expected in error and error.count("\n") == 1
    assert out.read_text() == "precious" and not (tmp_path / "net.csv").exists()


def test_no_compiler(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(command(archive, tmp_path / "net.safetensors", "--compile")) == 2
    assert "--compile needs a C++ compiler, and there is none; install g++" in capsys.readouterr().err


def test_one_training_image(archive, tmp_path, capsys):
    arrays = np.load(archive)
    np.savez(archive, **{key: arrays[key][:1] for key in arrays})
    assert main(command(archive, tmp_path / "net.safetensors")) == 2
    assert "the data has one training image; batch norm needs at least two" in capsys.readouterr().err


def test_methods_need_their_teacher(archive, tmp_path, capsys):
    assert main(["--model", "resnet8", "--method", "insta", *on(archive, tmp_path / "net.safetensors")]) == 2
    assert "distillation 1 needs --teacher FILE; make one with" in capsys.readouterr().err


def test_image_folder(tmp_path, capsys):
    for part, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(("cat", "dog")):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                # A BMP of 24 bits a pixel, 8 x 8, all of one colour.
                header = b"BM" + struct.pack("<IHHI", 54 + 192, 0, 0, 54)
                header += struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 24, 0, 192, 0, 0, 0, 0)
                (folder / f"{index}.bmp").write_bytes(header + bytes([200 * label + index, 7, 9]) * 64)
    out = tmp_path / "net.safetensors"
    arguments = on(tmp_path / "images", out, "--data", "folder", "--model", "mlp", "--option", "hidden=[4]")
    assert main([*arguments, "--image-size", "4x6"]) == 0
    _, metadata = checkpoint.load(out)
    assert metadata.image_size == (4, 6) and metadata.recipe.options["image"] == (3, 4, 6)
    assert main([*arguments, "--image-size", "5"]) == 0
    assert checkpoint.load(out)[1].recipe.options["image"] == (3, 5, 5)


@pytest.mark.parametrize("out", ["net.pt", "."])
def test_bad_out(archive, tmp_path, capsys, out):
    assert main(command(archive, tmp_path / out)) == 2
    assert "--out must name a file ending in .safetensors" in capsys.readouterr().err
    assert main(["--model", "mlp"]) == 2
    assert "--out must name the checkpoint to write" in capsys.readouterr().err


def test_out_in_no_folder(archive, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(command(archive, tmp_path / "file" / "net.safetensors")) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sw.train: {tmp_path / 'file'}") and error.count("\n") == 1


def test_unknown_recipe(capsys):
    assert main(["--recipe", "mlp-fasion", "--out", "x.safetensors"]) == 2
    assert "unknown recipe: 'mlp-fasion'; did you mean 'mlp-fashion'? There are: mlp-fashion" in capsys.readouterr().err


def test_recipe_has_its_own_method(capsys):
    assert main(["--recipe", "mlp-fashion", "--method", "recu", "--out", "x.safetensors"]) == 2
    assert "--method goes with --model, not with --recipe" in capsys.readouterr().err


def test_no_gpu(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run.find_device("auto") == run.find_device("cpu") == "cpu"
    assert main(["--model", "mlp", "--device", "cuda", "--out", "x.safetensors"]) == 2
    assert "--device cuda: PyTorch finds no GPU here" in capsys.readouterr().err


def test_a_gpu_is_taken_with_mixed_precision(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("sw.train.__main__.run", lambda task, progress: taken.append(task))
    for more in ([], ["--no-bfloat16"], ["--device", "cpu"]):
        assert main(["--model", "mlp", "--out", "x.safetensors", *more]) == 0
    assert [(task.device, task.recipe.bfloat16) for task in taken] == [("cuda", True), ("cuda", False), ("cpu", False)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_trains_on_a_gpu(archive, tmp_path):
    out = tmp_path / "net.safetensors"
    teacher = trained_teacher(archive, tmp_path)
    assert main(command(archive, out, "--device", "cuda", "--teacher", str(teacher), "--distillation", "0.5")) == 0
    assert checkpoint.load(out)[1].versions["device"] == "cuda"


def test_list(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for name in (*models.names(), *METHODS, "fashion-mnist", "mnist", "cifar10", "folder", "where --data-dir says",
                 "channels=[48, 48, 48, 48, 48]", *RECIPES, *(method.summary for method in METHODS.values())):
        assert name in printed
    assert "null" not in printed


def test_help_has_every_setting(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for name, setting in SETTINGS.items():
        assert "--" + name.replace("_", "-") in printed and setting.summary in printed
