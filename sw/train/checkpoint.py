"""Checkpoints: a safetensors file that says which model it holds and how that was trained."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from sw import models
from sw.errors import ArtifactError, CompileError
from sw.files import write_atomic
from sw.train.compact import half_weights
from sw.train.recipes import Recipe

__all__ = ["SCHEMA", "Metadata", "load", "save", "to_bytes"]

#: Version of the metadata's fields.
SCHEMA = 1

# The one key of the file's header: safetensors writes several in no fixed order.
_KEY = "popforge"

# Batch norm's count of batches takes no part in evaluation, and is not a float.
_LEFT_OUT = "num_batches_tracked"


@dataclass(frozen=True)
class Metadata:
    """What stands beside the weights: enough to build the model and to train it again.

    ``epochs_done`` counts the epochs of both steps where training has two. ``test_accuracy`` is the fraction of all
    test images that the weights in the file get right in eval mode. ``limit`` is the number of training images if it
    was not all of them, ``image_size`` the height and width that they were brought to, and ``teacher_sha256`` the
    hash of the checkpoint that was distilled.
    """

    recipe: Recipe
    data: str
    seed: int
    epochs_done: int
    test_accuracy: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    image_size: tuple[int, int] | None = None
    teacher_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None:  # JSON has no tuples
            object.__setattr__(self, "image_size", tuple(self.image_size))


def save(path: Path | str, model: nn.Module, metadata: Metadata) -> None:
    """Write a model's float32 tensors and metadata, whole or not at all. Raises ``OSError``."""
    write_atomic(path, to_bytes(model, metadata))


def to_bytes(model: nn.Module, metadata: Metadata, compact: bool = False) -> bytes:
    """The contents of a checkpoint; a compact one has ``half_weights``, and is no start for more training.

    Raises ``CompileError`` where there are none.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
               if not name.endswith(_LEFT_OUT)}
    text = json.dumps({"schema": SCHEMA, **asdict(metadata)}, sort_keys=True)
    return safetensors.torch.save({**tensors, **(half_weights(model) if compact else {})}, {_KEY: text})


def load(path: Path | str) -> tuple[nn.Module, Metadata]:
    """The float32 model of a checkpoint, compact or not, in eval mode, and its metadata.

    Raises ``ArtifactError`` when the file is missing, damaged, of another schema, or not of the model it
    names.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_KEY, "{}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise ArtifactError(f"there is no checkpoint {path}; train one with python -m sw.train") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise ArtifactError(f"{path} is not a whole safetensors file: {error}; copy it again") from None
    try:
        values = json.loads(text)
        schema = values.pop("schema", None)
    except (ValueError, AttributeError, TypeError):
        schema = None
    if schema != SCHEMA:
        raise ArtifactError(f"{path} is no Popforge checkpoint of schema {SCHEMA}, but has schema "
                            f"{schema!r}; train it with this version")
    try:
        metadata = Metadata(**{**values, "recipe": Recipe(**values["recipe"])})
        model = models.build(metadata.recipe.model, **metadata.recipe.options)
        missing, unexpected = model.load_state_dict(tensors, strict=False)
    except (KeyError, TypeError, ValueError, RuntimeError, CompileError) as error:
        raise ArtifactError(f"{path}: its weights do not fit the model it names: {error}") from None
    wrong = [*unexpected, *(name for name in missing if not name.endswith(_LEFT_OUT))]
    if wrong:
        raise ArtifactError(f"{path}: tensors missing or not of {metadata.recipe.model}: {', '.join(wrong)}")
    return model.eval(), metadata
