"""``sw.train.run``: trainings that go on, with the same files as if nothing had been, and teachers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sw.nn.fixed import fixed_point
from sw.quantise import calibrate
from sw.train import checkpoint, run
from sw.train.__main__ import main
from tests.sw.train_command import command, log_of, on, trained_teacher, write_archive


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path / "set.npz")


def tuning(archive, folder, *more):
    """The command that fine-tunes a small residual network, which is trained first."""
    path = folder / "trained.safetensors"
    if not path.exists():
        options = ("--model", "resnet8", "--method", "reactnet", "--option", "widths=[4,8]", "--distillation", "0",
                   "--real-weight-epochs", "1", "--learning-rate", "0.01", "--shift", "1")
        assert main(on(archive, path, *options)) == 0
    return ["--fine-tune", str(path), *on(archive, folder / "net.safetensors", *more)]


RESUMED = {
    "adam": [],
    "sgd": ["--optimizer", "sgd", "--weight-decay", "0.001", "--shift", "1", "--flip"],
    "two steps": ["--real-weight-epochs", "2", "--real-weight-decay", "0.01"],
    "dropout": ["--model", "teacher"],
    "distillation": ["--distillation", "0.5"],
    "schedules": ["--model", "vgg-tiny", "--method", "sd-bnn"],
    "fine-tuning": [],
}


@pytest.mark.parametrize("name", RESUMED)
@pytest.mark.parametrize("done", [1, 2])
def test_resumes_with_the_same_result(archive, tmp_path, monkeypatch, capsys, name, done):
    more = [*RESUMED[name], "--epochs", "3"]
    if "--model" in more:
        model = more[more.index("--model") + 1]
        options = ["channels=[4]", "pools=[1]"] if model == "teacher" else ["widths=[4,4]"]
        more += [part for option in options for part in ("--option", option)]
        arguments = on(archive, tmp_path / "net.safetensors", *more)
    elif name == "fine-tuning":
        arguments = tuning(archive, tmp_path, *more)
    else:
        arguments = command(archive, tmp_path / "net.safetensors", *more)
    if name == "distillation":
        arguments += ["--teacher", str(trained_teacher(archive, tmp_path))]
    out, state = tmp_path / "net.safetensors", tmp_path / "net.state"
    assert main(arguments) == 0
    whole, whole_log = out.read_bytes(), log_of(tmp_path / "net.csv")
    assert not state.exists()
    out.unlink()

    saved = run.state.save

    def stopped(path, identity, training, rows):
        saved(path, identity, training, rows)
        if len(rows) == done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run.state, "save", stopped)
        assert main(arguments) == 130
    assert "the same command with --resume goes on behind the last whole epoch" in capsys.readouterr().err
    assert state.exists() and checkpoint.load(out)[1].epochs_done == done
    assert main([*arguments, "--resume"]) == 0
    total = len(whole_log)
    printed = capsys.readouterr().out
    assert f"{done} of them done before" in printed and f"epoch {done + 1}/{total}" in printed
    assert f"epoch {done}/{total}" not in printed
    assert out.read_bytes() == whole
    assert not state.exists()
    # Seconds are the only thing that differs.
    rows = log_of(tmp_path / "net.csv")
    assert [{**row, "seconds": ""} for row in rows] == [{**row, "seconds": ""} for row in whole_log]


def test_accuracy_with_real_weights_is_not_that_of_a_checkpoint(archive, tmp_path, monkeypatch):
    seen = []
    saved = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda path, model, metadata: (
        seen.append((metadata.epochs_done, metadata.test_accuracy is None)), saved(path, model, metadata)))
    more = ("--real-weight-epochs", "2", "--evaluate-every", "1")
    assert main(command(archive, tmp_path / "net.safetensors", *more)) == 0
    assert seen == [(1, True), (2, True), (3, False), (4, False)]
    assert all(row["test_accuracy"] for row in log_of(tmp_path / "net.csv"))


@pytest.fixture
def interrupted(archive, tmp_path, monkeypatch, capsys):
    """The command of a training that was stopped after its first epoch, and the files that it left."""
    arguments = command(archive, tmp_path / "net.safetensors")
    saved = run.state.save
    with monkeypatch.context() as patch:
        patch.setattr(run.state, "save", lambda *given: (saved(*given), (_ for _ in ()).throw(KeyboardInterrupt))[1])
        assert main(arguments) == 130
    capsys.readouterr()
    return arguments, {path: path.read_bytes() for path in tmp_path.glob("net.*")}


@pytest.mark.parametrize("more, expected", [
    ([], "net.state is left from a training that was interrupted; give --resume to go on with it, or remove it"),
    (["--resume", "--seed", "8"], "net.state is of another training: seed was 7 and is 8; give what it began with"),
    (["--resume", "--learning-rate", "0.5"], "learning_rate was 0.001 and is 0.5"),
    (["--resume", "--option", "hidden=[4]"], "options was {'"),
    (["--resume", "--data", "fashion-mnist"], "data was 'mnist' and is 'fashion-mnist'"),
    (["--resume", "--limit", "50"], "limit was None and is 50, sha256 of the images was '"),
    (["--resume", "--threads", "2"], "threads was '1' and is '2'"),
])
def test_another_training_is_not_resumed(interrupted, tmp_path, capsys, more, expected):
    arguments, files = interrupted
    assert main([*arguments, *more]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.glob("net.*")} == files


def test_other_images_are_not_resumed(interrupted, archive, capsys):
    arrays = dict(np.load(archive))
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez(archive, **arrays)
    assert main([*interrupted[0], "--resume"]) == 2
    assert "is of another training: sha256 of the images was" in capsys.readouterr().err


def test_truncated_state_is_not_resumed(interrupted, tmp_path, capsys):
    arguments, files = interrupted
    path = tmp_path / "net.state"
    path.write_bytes(files[path][:-1])
    assert main([*arguments, "--resume"]) == 2
    assert "net.state is not a whole state of a training; remove it to train anew" in capsys.readouterr().err
    assert (tmp_path / "net.safetensors").read_bytes() == files[tmp_path / "net.safetensors"]


def test_nothing_to_resume(archive, tmp_path, capsys):
    assert main(command(archive, tmp_path / "net.safetensors", "--resume")) == 2
    assert "there is no" in (error := capsys.readouterr().err) and error.endswith("; leave out --resume\n")


@pytest.mark.parametrize("trained, more, expected", [
    ([], ["--option", "classes=4"], "has (1, 6, 6) in 4 classes of mnist"),
    ([], ["--data", "fashion-mnist"], "has (1, 6, 6) in 3 classes of fashion-mnist"),
    (["--option", "image=[1,6,6]", "--option", "classes=5"], [], "takes images of (1, 6, 6) in 5 classes of mnist"),
])
def test_teacher_of_other_data(archive, tmp_path, capsys, trained, more, expected):
    teacher = trained_teacher(archive, tmp_path, *trained)
    out = tmp_path / "net.safetensors"
    assert main(command(archive, out, "--teacher", str(teacher), "--distillation", "1", *more)) == 2
    error = capsys.readouterr().err
    assert expected in error and error.endswith("train one on the same data\n") and not out.exists()


def test_teacher_of_other_images(archive, tmp_path, capsys):
    teacher = trained_teacher(archive, tmp_path)
    arrays = dict(np.load(archive))
    np.savez(archive, **{key: array[:, :4, :4] if array.ndim == 3 else array for key, array in arrays.items()})
    out = tmp_path / "net.safetensors"
    assert main(command(archive, out, "--teacher", str(teacher), "--distillation", "1")) == 2
    assert "takes images of (1, 6, 6) in 3 classes of mnist, and this training has (1, 4, 4)" in capsys.readouterr().err


def test_truncated_teacher(archive, tmp_path, capsys):
    teacher = trained_teacher(archive, tmp_path)
    teacher.write_bytes(teacher.read_bytes()[:-1])
    assert main(command(archive, tmp_path / "net.safetensors", "--teacher", str(teacher), "--distillation", "1")) == 2
    assert f"{teacher} is not a whole safetensors file" in capsys.readouterr().err


def test_teacher_is_not_written_over(archive, tmp_path, capsys):
    teacher = trained_teacher(archive, tmp_path)
    before = teacher.read_bytes()
    assert main(command(archive, teacher, "--teacher", str(teacher), "--distillation", "1")) == 2
    assert "--out must be another file than --teacher" in capsys.readouterr().err
    assert teacher.read_bytes() == before


def test_fine_tuning(archive, tmp_path, capsys):
    out = tmp_path / "net.safetensors"
    arguments = tuning(archive, tmp_path, "--word-bits", "6", "--evaluate-every", "1")
    assert main(arguments) == 0
    before, source = checkpoint.load(tmp_path / "trained.safetensors")
    after, metadata = checkpoint.load(out)
    assert metadata.recipe == replace(source.recipe, learning_rate=0.001, warmup_epochs=0, real_weight_epochs=0,
                                      epochs=2, word_bits=6, word_fraction=metadata.recipe.word_fraction)
    assert metadata.recipe.word_fraction > 0 and (metadata.epochs_done, metadata.test_accuracy) == (2, None)
    printed = capsys.readouterr().out
    assert f"as words of 6 bits, {metadata.recipe.word_fraction} of them behind the point: " in printed
    # Weights moved, and statistics did not.
    old = before.state_dict()
    changed = {path for path, tensor in after.state_dict().items() if not torch.equal(tensor, old[path])}
    assert "stage1_block1a.conv.conv.weight" in changed and "stage1_block1a.conv.norm.weight" in changed
    assert not any("running" in path for path in changed)
    # The log's accuracy is of integers in that format, but for the room of a bit that gains have to grow.
    images, labels = (torch.from_numpy(np.load(archive)[name]) for name in ("x_test", "y_test"))
    fixed = calibrate(after, images[:, None], 6, metadata.recipe.word_fraction)
    right = float((after(images[:, None]).argmax(1) == labels).float().mean())
    assert fixed.shift is not None
    assert abs(float(log_of(tmp_path / "net.csv")[-1]["test_accuracy"]) - right) <= 0.1


def test_fine_tuning_is_that_of_integer_mode(archive, tmp_path, monkeypatch):
    """In each batch the words are those of one format, and mixed precision stays out."""
    seen = []

    def note(model):
        def look(module, inputs):
            seen.append((fixed_point(model), torch.is_autocast_enabled("cpu"), module.training))
        model.register_forward_pre_hook(look)
        return model
    loaded = checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda path: (note(loaded(path)[0]), loaded(path)[1]))
    assert main(tuning(archive, tmp_path, "--bfloat16", "--word-bits", "7", "--word-fraction", "3")) == 0
    batches = [fixed for fixed, mixed, training in seen if training]
    assert len(batches) == 2 * 4 and {(fixed.bits, fixed.fraction) for fixed in batches} == {(7, 3)}
    assert all(fixed.shift is not None for fixed in batches) and not any(mixed for _, mixed, _ in seen)
    assert checkpoint.load(tmp_path / "net.safetensors")[1].recipe.word_fraction == 3


def test_another_network_is_not_fine_tuned_further(archive, tmp_path, monkeypatch, capsys):
    arguments = tuning(archive, tmp_path)
    saved = run.state.save
    with monkeypatch.context() as patch:
        patch.setattr(run.state, "save", lambda *given: (saved(*given), (_ for _ in ()).throw(KeyboardInterrupt))[1])
        assert main(arguments) == 130
    model, metadata = checkpoint.load(tmp_path / "trained.safetensors")
    with torch.no_grad():
        model.head.bias[0] += 1e-3
    checkpoint.save(tmp_path / "trained.safetensors", model, metadata)
    capsys.readouterr()
    assert main([*arguments, "--resume"]) == 2
    assert "is of another training: fine_tune_sha256 was" in capsys.readouterr().err


@pytest.mark.parametrize("more, expected", [
    (["--compile"], "--compile is for training with real values; leave it out with --fine-tune"),
    (["--word-bits", "0"], "a checkpoint is fine-tuned with --word-bits from 4 to 16"),
    (["--word-bits", "3"], "words must have 4 to 24 bits"),
    (["--word-bits", "17"], "word_bits must be a whole number from 0 to 16, not 17"),
    (["--model", "mlp"], "give one of --model, --recipe and --fine-tune"),
    (["--option", "widths=[4]"], "--method and --option are for new networks, not for --fine-tune"),
    (["--method", "recu"], "--method and --option are for new networks, not for --fine-tune"),
    (["--data", "fashion-mnist"], "was trained on mnist, not on fashion-mnist; give --data mnist"),
    (["--distillation", "1"], "distillation 1 needs --teacher FILE"),
])
def test_fine_tuning_that_cannot_be(archive, tmp_path, capsys, more, expected):
    arguments = tuning(archive, tmp_path, *more)
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1 and not (tmp_path / "net.safetensors").exists()


def test_the_network_that_is_fine_tuned_is_kept(archive, tmp_path, capsys):
    arguments = tuning(archive, tmp_path)
    before = (tmp_path / "trained.safetensors").read_bytes()
    assert main([*arguments, "--out", str(tmp_path / "trained.safetensors")]) == 2
    assert "--out must be another file than --fine-tune" in capsys.readouterr().err
    assert main(["--fine-tune", str(tmp_path / "none.safetensors"), *arguments[2:]]) == 2
    assert "there is no checkpoint" in capsys.readouterr().err
    assert (tmp_path / "trained.safetensors").read_bytes() == before


@pytest.mark.parametrize("options, expected", [
    (["--model", "mlp", "--option", "hidden=[4]"], "the model has no real values between its layers"),
    (["--model", "resnet8", "--method", "sd-bnn", "--option", "widths=[4]"],
     "stage1_block1a.binarize.shift: SqueezeExcite, a statistic of the image, has no gradient in integer mode"),
])
def test_networks_that_integer_mode_cannot_train(archive, tmp_path, capsys, options, expected):
    path = tmp_path / "trained.safetensors"
    assert main(on(archive, path, *options, "--epochs", "1")) == 0
    assert main(tuning(archive, tmp_path)) == 2
    assert expected in capsys.readouterr().err and not (tmp_path / "net.safetensors").exists()


def test_words_without_a_network_to_fine_tune(archive, tmp_path, capsys):
    assert main(command(archive, tmp_path / "net.safetensors", "--word-bits", "8")) == 2
    assert "nothing else is trained with words" in capsys.readouterr().err
