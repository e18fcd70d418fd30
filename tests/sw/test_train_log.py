"""``sw.train.log``: the text of the file."""

import pytest

from sw.train import log

ROWS = [log.Row(1, 2.5, 0.25, None, 1e-3, 12.3456), log.Row(2, 0.125, 0.5, 0.75, 1e-05, 3.0)]


def test_text(tmp_path):
    path = tmp_path / "new" / "log.csv"
    for count in (1, 2):
        log.save(path, ROWS[:count])
    assert path.read_bytes() == (b"epoch,loss,train_accuracy,test_accuracy,learning_rate,seconds\n"
                                 b"1,2.5,0.25,,0.001,12.35\n"
                                 b"2,0.125,0.5,0.75,1e-05,3.00\n")
    assert [each.name for each in path.parent.iterdir()] == ["log.csv"]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    log.save(path, ROWS[:1])
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(OSError, match="no space left"):
        log.save(path, ROWS)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["log.csv"]
