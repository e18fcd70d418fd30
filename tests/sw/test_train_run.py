"""``sw.train.run``: trainings that go on, with the same files as if nothing had been, and teachers."""

import numpy as np
import pytest
import torch

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


RESUMED = {
    "adam": [],
    "sgd": ["--optimizer", "sgd", "--weight-decay", "0.001", "--shift", "1", "--flip"],
    "two steps": ["--real-weight-epochs", "2", "--real-weight-decay", "0.01"],
    "dropout": ["--model", "teacher"],
    "distillation": ["--distillation", "0.5"],
    "schedules": ["--model", "vgg-tiny", "--method", "sd-bnn"],
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
