import io
import os

import numpy as np
import pytest

from sw.errors import ArtifactError
from sw.files import npz_bytes, read_npz, write_atomic


@pytest.mark.parametrize("content", [b"", b"\x00\xff", "text \N{MULTIPLICATION SIGN}"])
def test_write_atomic_writes_all_of_it(tmp_path, content):
    path = tmp_path / "new" / "folder" / "file"
    write_atomic(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert os.listdir(path.parent) == ["file"]


def test_write_atomic_replaces_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a longer old content")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_write_atomic_leaves_the_old_file_where_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(source, target):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_npz_bytes_are_read_by_numpy():
    arrays = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.array(7)}
    with np.load(io.BytesIO(npz_bytes(arrays)), allow_pickle=False) as read:
        assert set(read.files) == {"a", "b"}
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            assert np.array_equal(read[name], array)


def test_read_npz(tmp_path):
    path = tmp_path / "arrays.npz"
    path.write_bytes(npz_bytes({"a": np.arange(3), "b": np.array(7)}))
    assert {name: array.tolist() for name, array in read_npz(path, ArtifactError).items()} == {"a": [0, 1, 2], "b": 7}
    assert list(read_npz(path, ArtifactError, ("b", "c"))) == ["b"]


@pytest.mark.parametrize("damage", ["cut", "pickled", "missing", "single array"])
def test_read_npz_refuses(tmp_path, damage):
    path = tmp_path / "arrays.npz"
    if damage == "cut":
        path.write_bytes(npz_bytes({"a": np.arange(300)})[:100])
    elif damage == "pickled":
        np.savez(path, a=np.array([{}], object))
    elif damage == "single array":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    with pytest.raises(ArtifactError, match=r"^.*arrays\.npz is not a whole \.npz archive of arrays$"):
        read_npz(path, ArtifactError)
