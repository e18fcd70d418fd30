"""``sw.train.state``: what is written comes back, and nothing else is taken."""

import io
import re

import pytest
import torch

from sw.errors import ArtifactError
from sw.train import state
from sw.train.log import Row

IDENTITY = {"model": "mlp", "options": {"hidden": (8,), "image": (1, 6, 6)}, "learning_rate": 0.1, "limit": None,
            "flip": True, "seed": 3}
ROWS = [Row(1, 0.5, 0.25, None, 1e-3, 2.0), Row(2, 0.25, 0.5, 0.75, 1e-4, 1.0)]


def contents():
    return {
        "epochs_done": 2, "generator": torch.arange(5, dtype=torch.uint8),
        "model": {"weight": torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]},
    }


class Restored:
    """Stands for a training: takes a state, or refuses it."""

    def __init__(self, error=None):
        self.error = error
        self.state = None

    def restore(self, given):
        if self.error:
            raise self.error
        self.state = given


@pytest.fixture
def path(tmp_path):
    result = tmp_path / "new" / "net.state"
    state.save(result, IDENTITY, contents(), ROWS)
    return result


def test_round_trip(path):
    training = Restored()
    assert state.load(path).resume(training, IDENTITY) == ROWS
    found, wanted = training.state, contents()
    assert torch.equal(found["generator"], wanted["generator"]) and found["epochs_done"] == 2
    assert torch.equal(found["model"]["weight"], wanted["model"]["weight"])
    assert found["model"]["weight"].stride() == wanted["model"]["weight"].stride()
    assert found["optimizer"] == wanted["optimizer"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("changes, message", [
    ({"learning_rate": 0.2}, "learning_rate was 0.1 and is 0.2"),
    ({"flip": False, "seed": 4}, "flip was True and is False, seed was 3 and is 4"),
    ({"options": {"hidden": (9,)}}, "options was {'hidden': (8,), 'image': (1, 6, 6)} and is {'hidden': (9,)}"),
    ({"limit": 50}, "limit was None and is 50"),
    ({"more": 1}, "more was None and is 1"),
])
def test_another_training(path, changes, message):
    training = Restored()
    with pytest.raises(ArtifactError) as caught:
        state.load(path).resume(training, {**IDENTITY, **changes})
    assert str(caught.value) == (f"{path} is of another training: {message}; give what it began with, or remove it to "
                                 f"train anew")
    assert training.state is None


def test_state_that_does_not_fit(path):
    with pytest.raises(ArtifactError, match="net.state does not fit the training: wrong shape; remove it"):
        state.load(path).resume(Restored(RuntimeError("wrong shape")), IDENTITY)


def test_missing(tmp_path):
    with pytest.raises(ArtifactError, match="there is no .*net.state of an interrupted training; leave out --resume"):
        state.load(tmp_path / "net.state")


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: content[:10], lambda content: content[:60], lambda content: content[:-1],
    lambda content: content + b"\0", lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    lambda content: b"X" + content[1:],
])
def test_damaged(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactError, match=re.escape(f"{path} is not a whole state of a training; remove it")):
        state.load(path)


class Opened:
    """An object whose unpickling would open a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("values", [{}, [1], {"identity": {}, "training": {}, "rows": [{"epoch": 1}]}, "code"])
def test_other_contents(tmp_path, values):
    victim = tmp_path / "victim"
    content = io.BytesIO()
    torch.save(Opened(victim) if values == "code" else values, content)
    # A whole file around it, as only one who means it would write.
    path = tmp_path / "net.state"
    state.save(path, {}, {}, [])
    begin = len(path.read_bytes().split(b"\n", 1)[0]) + 1
    payload = content.getvalue()
    path.write_bytes(path.read_bytes()[:begin] + state.hashlib.sha256(payload).digest() + payload)
    with pytest.raises(ArtifactError, match="net.state holds no state of a training"):
        state.load(path)
    assert not victim.exists()
