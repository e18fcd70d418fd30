"""State files: what an interrupted training needs to go on with the same result."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sw.errors import ArtifactError
from sw.files import write_atomic
from sw.train.log import Row
from sw.train.loop import Training

__all__ = ["Saved", "load", "save"]

# The file is this line, the SHA-256 of what follows, and a dictionary as torch.save writes it: that keeps the memory
# format of tensors, which the fused optimisers rely on.
_MAGIC = b"popforge training state 1\n"
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Saved:
    """What ``path`` holds: the ``identity`` and ``rows`` that ``save`` was given, and a ``Training.state()``."""

    path: Path
    identity: Mapping[str, Any]
    training: dict[str, Any]
    rows: list[Row]

    def resume(self, training: Training, identity: Mapping[str, Any]) -> list[Row]:
        """Bring ``training``, which has not run yet, to the state here, and give the log so far.

        Raises ``ArtifactError`` when ``identity`` is not the one here, with all that differs, or the state does not
        fit.
        """
        different = [f"{name} was {self.identity.get(name)!r} and is {identity.get(name)!r}"
                     for name in {**identity, **self.identity} if self.identity.get(name) != identity.get(name)]
        if different:
            raise ArtifactError(f"{self.path} is of another training: {', '.join(different)}; give what it began with, "
                                f"or remove it to train anew")
        try:
            training.restore(self.training)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise ArtifactError(f"{self.path} does not fit the training: {error}; remove it to train anew") from None
        return list(self.rows)


def save(path: Path | str, identity: Mapping[str, Any], training: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the state of a training and its log so far, whole or not at all. Raises ``OSError``.

    ``identity`` says by name what must be equal for the training to go on: numbers, strings, bools, ``None``, and
    dictionaries, tuples and lists of them. ``training`` is a ``Training.state()``.
    """
    values = {"identity": dict(identity), "training": dict(training), "rows": [asdict(row) for row in rows]}
    contents = io.BytesIO()
    torch.save(values, contents)
    payload = contents.getvalue()
    write_atomic(path, _MAGIC + hashlib.sha256(payload).digest() + payload)


def load(path: Path | str) -> Saved:
    """What ``save`` wrote; nothing in the file is run. Raises ``ArtifactError`` when it is missing or damaged."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"there is no {path} of an interrupted training; leave out --resume") from None
    begin = len(_MAGIC) + _DIGEST
    payload = content[begin:]
    if content[:begin] != _MAGIC + hashlib.sha256(payload).digest():
        raise ArtifactError(f"{path} is not a whole state of a training; remove it to train anew")
    try:
        values = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        return Saved(Path(path), dict(values["identity"]), dict(values["training"]),
                     [Row(**row) for row in values["rows"]])
    except Exception as error:  # PyTorch raises whatever foreign content leads to
        raise ArtifactError(f"{path} holds no state of a training ({type(error).__name__}); remove it to train "
                            f"anew") from None
