"""``python -m sw.compare``: its plan, its trainings, and the files that it writes."""

import csv
import json
import shutil
import statistics
import xml.etree.ElementTree
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest
import torch

from sw.compare import measure, run
from sw.compare.__main__ import main
from sw.compare.measure import load_result, run_job
from sw.compare.options import parse
from sw.compare.plan import make_plan
from sw.compare.run import seconds_left
from sw.errors import CompileError
from sw.models.methods import METHODS
from sw.nn.fixed import FixedPoint, set_fixed
from sw.train import checkpoint
from sw.train.run import run as run_training


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("data") / "set.npz"
    labels = rng.integers(0, 3, 60).astype(np.uint8)
    images = (rng.integers(0, 120, (60, 8, 8)) + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:40], y_test=labels[:40])
    return path


def command(archive, out, *more, methods="ir-net,adambnn"):
    return ["--models", "resnet8", "--methods", methods, "--option", "widths=[4,4]", "--data", "mnist", "--data-dir",
            str(archive), "--epochs", "1", "--batch-size", "16", "--threads", "1", "--seed", "7", "--out", str(out),
            *more]


def plan_of(arguments):
    return make_plan(parse(arguments))


@pytest.fixture(scope="module")
def compared(archive, tmp_path_factory):
    """The folder of a whole comparison."""
    out = tmp_path_factory.mktemp("whole") / "new"
    threads = torch.get_num_threads()
    assert main(command(archive, out)) == 0
    torch.set_num_threads(threads)
    return out


@pytest.fixture(scope="module")
def report(compared):
    return json.loads((compared / "comparison.json").read_text())


def test_results_are_those_of_the_checkpoints(compared, report, archive):
    images, labels = (np.load(archive)[name] for name in ("x_test", "y_test"))
    assert [(each["method"], each["seed"]) for each in report["results"]] == [
        ("ir-net", 7), ("reactnet", 7), ("ir-net", 8), ("reactnet", 8)]
    for path in sorted(compared.glob("networks/*.safetensors")):
        model, metadata = checkpoint.load(path)
        found = next(each for each in report["results"]
                     if (each["method"], each["seed"]) == (metadata.recipe.options["method"], metadata.seed))
        right = (model(torch.from_numpy(images[:, None])).argmax(1).numpy() == labels).mean()
        assert found["accuracy"] == pytest.approx(right)
        # PyTorch in the format of the result, where the tool takes the reference.
        integers = found["integers"]
        set_fixed(model, FixedPoint(integers["fraction"], integers["bits"], integers["shift"]))
        scores = model(torch.from_numpy(images[:, None])).detach().numpy()
        classes = [max(range(len(each)), key=lambda index, each=each: each[index]) for each in scores]
        assert integers["accuracy"] == pytest.approx(np.mean(np.array(classes) == labels))
        assert (integers["checked"], integers["scores_differ"]) == (40, 0) and integers["refused"] > 0
        with path.with_suffix(".csv").open() as log:
            assert found["epoch_seconds"] == float(next(csv.DictReader(log))["seconds"])


def test_rows_are_over_seeds(report):
    assert [(row["method"], row["trained_as"], row["seeds"]) for row in report["rows"]] == [
        ("ir-net", "ir-net", [7, 8]), ("adambnn", "reactnet", [7, 8])]
    for row in report["rows"]:
        own = [each for each in report["results"] if each["method"] == row["trained_as"]]
        for name, values in (("accuracy", [each["accuracy"] for each in own]),
                             ("integer_accuracy", [each["integers"]["accuracy"] for each in own])):
            a, b = values
            assert row[name] == pytest.approx(
                {"mean": (a + b) / 2, "least": min(a, b), "most": max(a, b), "deviation": abs(a - b) / 2 ** 0.5})
        assert row["checked"] == 80 and row["scores_differ"] == 0 and not row["engine_runs"]
        assert row["ops"] == row["binary_macs"] / 64 + row["multi_bit_macs"]
    # Three stages are two here: a 4-to-4 pair at 8 x 8 and one, strided, at 4 x 4.
    assert report["rows"][0]["binary_weights"] == 4 * 4 * 4 * 9
    assert report["rows"][0]["binary_macs"] == (2 * 8 * 8 + 2 * 4 * 4) * 4 * 4 * 9
    assert report["rows"][0]["published_epochs"] == 400 and report["rows"][1]["published_epochs"] == 512
    assert "slope multiplier" in report["rows"][1]["units"] and "slope multiplier" not in report["rows"][0]["units"]
    seconds = [statistics.fmean(each["epoch_seconds"] for each in report["results"] if each["method"] == method)
               for method in ("ir-net", "reactnet")]
    if min(seconds):
        ratios = [each / min(seconds) for each in seconds]
        assert [row["relative_time"] for row in report["rows"]] == pytest.approx(ratios)
    assert report["trainings"] == {"done": 4, "planned": 4}
    assert report["command"].startswith(
        "python -m sw.compare --models resnet8 --methods ir-net,adambnn --option 'widths=[4,4]' --data mnist ")
    assert set(report["versions"]) == {"python", "numpy", "torch"}
    assert (report["budget"]["optimizer"], report["budget"]["flip"], report["budget"]["shift"]) == ("adam", False, 1)


def test_table_has_the_numbers_of_the_json(compared, report):
    text = (compared / "comparison.md").read_text()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    header, _, *results = lines[:4]
    for row, cells in zip(report["rows"], results, strict=True):
        shown = dict(zip(header, cells, strict=True))
        for title, name in (("accuracy", "accuracy"), ("integer", "integer_accuracy")):
            spread = row[name]
            mean, least, most = (f"{100 * spread[key]:.2f}" for key in ("mean", "least", "most"))
            assert shown[title] == f"{mean} % ({least} to {most})"
        for title, name in (("binary weights", "binary_weights"), ("multi-bit weights", "multi_bit_weights"),
                            ("real parameters", "real_parameters"), ("binary MACs", "binary_macs"),
                            ("scores that differ", "scores_differ")):
            assert int(shown[title].replace(",", "")) == row[name]
        assert int(shown["OPs"].replace(",", "")) == round(row["ops"])
    assert [cells[0] for cells in results] == ["ir-net", "adambnn (as reactnet)"]
    for row, cells in zip(report["rows"], lines[6:], strict=True):
        assert cells[1:] == [", ".join(row["units"]), "refuses it"]
    assert f"    {report['command']}" in text and "60 of 60 training images" in text and "seeds 7, 8" in text
    assert "400 to 512 epochs" in text and "1 thread a training" in text


def test_plot(compared):
    root = xml.etree.ElementTree.fromstring((compared / "comparison.svg").read_text())
    texts = {"".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("}text")}
    assert {"ir-net", "adambnn", "resnet8", "test accuracy, %", "mnist, 60 images, 1 epoch, 2 seeds"} <= texts
    assert (compared / "comparison.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_finished_trainings_are_kept(compared, archive, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in compared.glob("*/*")}
    monkeypatch.setattr(run, "run_job", None)
    assert main(command(archive, compared)) == 0
    assert "4 of 4 trainings are done before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in compared.glob("*/*")} == before
    # Fewer seeds, another order and one more process are no other settings.
    assert main(command(archive, compared, "--seeds", "1", "--jobs", "2", methods="reactnet,ir-net")) == 0
    shown = (compared / "comparison.md").read_text()
    assert "2 of 2 trainings are done before" in capsys.readouterr().out
    assert "(as reactnet)" not in shown and "seed 7." in shown


@pytest.mark.parametrize("more, kept", [
    (["--epochs", "2"], 0), (["--learning-rate", "0.01"], 0), (["--shift", "0"], 0), (["--limit", "30"], 0),
    (["--option", "nonlinearity=\"relu\""], 0), (["--seed", "8"], 2), (["--seeds", "3"], 4), (["--threads", "2"], 4),
])
def test_another_setting_is_another_training(compared, archive, more, kept):
    jobs = plan_of(command(archive, compared, *more)).jobs
    assert sum(load_result(job) is not None for job in jobs) == kept


def test_other_images_are_another_training(compared, archive, tmp_path):
    arrays = dict(np.load(archive))
    arrays["x_test"][3, 2, 1] ^= 1
    np.savez(tmp_path / "set.npz", **arrays)
    assert not any(load_result(job) for job in plan_of(command(tmp_path / "set.npz", compared)).jobs)


def test_a_damaged_result_is_trained_again(archive, tmp_path):
    job = plan_of(command(archive, tmp_path)).jobs[0]
    job.result_path.parent.mkdir()
    for content in ("", "{", "[]", "{}", '{"integers": null}', '{"integers": {}}', '{"integers": 3}'):
        job.result_path.write_text(content)
        assert load_result(job) is None
    assert run_job(job, 1) == load_result(job)


def test_every_method_is_planned_once(archive, tmp_path):
    plan = plan_of(command(archive, tmp_path, methods="all"))
    assert [network.method for network in plan.networks] == list(METHODS)
    assert {network.method: network.trained_as for network in plan.networks} == {
        **{name: name for name in METHODS}, "adambnn": "reactnet"}
    assert len(plan.jobs) == 2 * (len(METHODS) - 1)
    assert [job.seed for job in plan.jobs] == sorted(job.seed for job in plan.jobs)
    settings = [{name: value for name, value in job.settings.items() if name not in ("parts", "options", "seed")}
                for job in plan.jobs]
    assert all(each == settings[0] for each in settings) and settings[0]["distillation"] == 0
    assert settings[0]["real_weight_epochs"] == 0 and settings[0]["optimizer"] == "adam"
    assert not list(tmp_path.iterdir())


def test_two_processes_find_the_same(compared, report, archive, tmp_path):
    assert main(command(archive, tmp_path, "--seeds", "1", "--jobs", "2")) == 0
    found = json.loads((tmp_path / "comparison.json").read_text())["results"]
    timed = ("epoch_seconds", "seconds")
    stripped = [[{name: value for name, value in each.items() if name not in timed} for each in results]
                for results in (sorted(found, key=lambda each: each["method"]), report["results"][:2])]
    assert stripped[0] == stripped[1]


def test_an_interrupted_comparison_goes_on(archive, tmp_path, monkeypatch, capsys):
    ran = []

    def once(job, *rest):
        if ran:
            raise KeyboardInterrupt
        ran.append(job)
        return run_job(job, *rest)

    monkeypatch.setattr(run, "run_job", once)
    arguments = command(archive, tmp_path, "--seeds", "1")
    assert main(arguments) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert "1 of 2 trainings are done." in (tmp_path / "comparison.md").read_text()
    ran.clear()
    assert main(arguments) == 0
    assert [job.method for job in ran] == ["reactnet"]
    assert "trainings are done" not in (tmp_path / "comparison.md").read_text()


def test_a_training_that_was_not_measured_is_not_trained_again(compared, archive, tmp_path, monkeypatch):
    shutil.copytree(compared, tmp_path, dirs_exist_ok=True)
    first, second = plan_of(command(archive, tmp_path)).jobs[:2]
    whole = load_result(first)
    first.result_path.unlink()
    second.result_path.unlink()
    second.task.out.write_bytes(second.task.out.read_bytes()[:-1])
    trained = []
    monkeypatch.setattr(measure, "run_training", lambda task, progress: trained.append(task.out) or run_training(task))
    found = [run_job(job, 1) for job in (first, second)]
    assert trained == [second.task.out]
    assert replace(found[0], seconds=0) == replace(whole, seconds=0)


def test_an_ended_process_is_said(archive, tmp_path, monkeypatch, capsys):
    def broken(*given, **named):
        raise BrokenProcessPool

    monkeypatch.setattr(run, "run_job", broken)
    assert main(command(archive, tmp_path)) == 1
    assert "give fewer --jobs" in capsys.readouterr().err and not list(tmp_path.glob("comparison.*"))


def test_differing_scores_are_an_error(archive, tmp_path, monkeypatch, capsys):
    honest = measure.compare
    monkeypatch.setattr(measure, "compare", lambda *given: replace(honest(*given), scores_differ=3))
    assert main(command(archive, tmp_path, "--seeds", "1")) == 1
    assert "6 scores of the integer reference differ" in capsys.readouterr().err
    assert [row["scores_differ"] for row in json.loads((tmp_path / "comparison.json").read_text())["rows"]] == [3, 3]


def test_a_network_without_integers_is_shown(archive, tmp_path, monkeypatch, capsys):
    def refuse(*given):
        raise CompileError("no fraction fits")

    monkeypatch.setattr(measure, "calibrate", refuse)
    assert main(command(archive, tmp_path, "--seeds", "1", methods="recu")) == 0
    assert "no integers (no fraction fits)" in capsys.readouterr().out
    row, = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert row["integer_accuracy"] is None and row["problems"] == ["seed 7: no fraction fits"]
    assert "- recu, seed 7: no fraction fits" in (tmp_path / "comparison.md").read_text()


def test_what_the_engine_runs(archive, tmp_path):
    assert main(command(archive, tmp_path, "--seeds", "1", "--models", "vgg-tiny,resnet8", methods="recu,sd-bnn")) == 0
    rows = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert [(row["model"], row["method"], row["engine_runs"]) for row in rows] == [
        ("vgg-tiny", "recu", True), ("vgg-tiny", "sd-bnn", False), ("resnet8", "recu", False),
        ("resnet8", "sd-bnn", False)]
    assert rows[0]["units"] == [] and min(row["relative_time"] for row in rows[:2]) == 1
    shown = (tmp_path / "comparison.md").read_text()
    assert "## vgg-tiny" in shown and "## resnet8" in shown and "| recu | none | runs it |" in shown


def test_seconds_left(compared, archive):
    jobs = plan_of(command(archive, compared)).jobs
    done = [replace(load_result(job), seconds=seconds) for job, seconds in zip(jobs, (10, 40))]
    later = [replace(job, seed=9) for job in jobs[:2]]
    other = [replace(job, model="resnet20") for job in jobs[:1]]
    assert seconds_left(later, done, 1) == 10 + 40
    assert seconds_left(later, done, 4) == 25
    assert seconds_left([replace(jobs[0], method="recu")], done, 1) == 25
    assert seconds_left(other, done, 1) == 25
    assert seconds_left([], done, 2) == 0


@pytest.mark.parametrize("more, expected", [
    (["--models", "resnet21"], "unknown model: 'resnet21'; did you mean 'resnet2"),
    (["--models", "mlp"], "unknown model: 'mlp'"),
    (["--methods", "irnet"], "unknown method: 'irnet'; did you mean 'ir-net'? There are: ir-net, recu"),
    (["--methods", "recu,"], "unknown method: ''"),
    (["--methods", "all,recu"], "unknown method: 'all'"),
    (["--model", "resnet8"], "--models and --methods say what is compared"),
    (["--recipe", "mlp-fashion"], "--models and --methods say what is compared"),
    (["--seeds", "0"], "--seeds must be at least 1, not 0"),
    (["--jobs", "0"], "--jobs must be at least 1, not 0"),
    (["--threads", "0"], "--threads must be at least 1, not 0"),
    (["--jobs", "two"], "argument --jobs: invalid int value: 'two'; --help shows"),
    (["--frobnicate"], "unrecognized arguments: --frobnicate; --help shows"),
    (["--epochs", "0"], "epochs must be"),
    (["--limit", "61"], "--limit must be from 2 to 60"),
    (["--data", "imagenet"], "unknown data set: 'imagenet'"),
    (["--data-dir", "no/such/place"], "mnist is not at no/such/place"),
    (["--option", "widht=2"], "unknown option of resnet8: 'widht'"),
    (["--option", "groups=3"], "groups"),
    (["--option", "image=[3,8,8]"], "resnet8 with ir-net does not take the data's images of (1, 8, 8)"),
    (["--distillation", "0.5"], "distillation 0.5 needs --teacher"),
    (["--teacher", "no.safetensors", "--distillation", "1"], "no.safetensors: No such file"),
    (["--device", "tpu"], "--device must be one of"),
])
def test_bad_input_is_one_line_and_writes_nothing(archive, tmp_path, capsys, more, expected):
    assert main(command(archive, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("sw.compare: ") and expected in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_out_must_be_given_and_a_folder(archive, tmp_path, capsys):
    assert main(["--models", "resnet8"]) == 2
    assert "--out must name the folder to write to" in capsys.readouterr().err
    (tmp_path / "file").write_text("precious")
    assert main(command(archive, tmp_path / "file")) == 2
    assert capsys.readouterr().err.startswith(f"sw.compare: {tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "precious"


def test_list(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in (*METHODS, "resnet20", "vgg-small", "fashion-mnist"))
    assert "teacher" not in [line.split()[0] for line in printed.splitlines()]
