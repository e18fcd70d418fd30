"""The log of a training: a CSV file with one line an epoch."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sw.files import write_atomic

__all__ = ["Row", "save"]


@dataclass(frozen=True)
class Row:
    """One epoch, from 1: accuracies are fractions, ``test_accuracy`` ``None`` where it was not measured.

    ``learning_rate`` is that of the epoch's last batch, ``seconds`` the time of its training without the test.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float | None
    learning_rate: float
    seconds: float


def save(path: Path | str, rows: Sequence[Row]) -> None:
    """Write rows under a line of their names, whole or not at all. Raises ``OSError``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(row), "seconds": f"{row.seconds:.2f}"} for row in rows)
    write_atomic(path, text.getvalue())
