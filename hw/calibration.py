"""The table behind the estimate of logic cells, ``calibration.json``: measured arrays, and the formula's coefficients.

``python -m hw.build.calibrate`` writes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PATH", "Calibration", "load_calibration"]

PATH = Path(__file__).with_name("calibration.json")


@dataclass(frozen=True)
class Calibration:
    """Logic cells after packing of ``arrays``, which the formula is fitted to, and of those ``held_out``.

    Both map (network of the zoo, board, rows, columns, lanes, drain) to cells; ``coefficients`` maps the name of each
    family to its, one for each of ``hw.estimate.logic_terms``.
    """

    arrays: Mapping[tuple, int]
    held_out: Mapping[tuple, int]
    coefficients: Mapping[str, tuple[float, ...]]

    def text(self):
        """The file's contents."""
        blocks = [f' "{name}": [\n{_lines([*array, cells] for array, cells in rows.items())}\n ]'
                  for name, rows in (("arrays", self.arrays), ("held_out", self.held_out))]
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in self.coefficients.items())
        return ",\n".join(["{\n" + blocks[0], blocks[1], f' "coefficients": {{\n{lines}\n }}\n}}\n'])


def _lines(rows):
    return ",\n".join(f"  {json.dumps(row)}" for row in rows)


def load_calibration(path=PATH):
    """Read the table."""
    content = json.loads(Path(path).read_text())
    arrays, held_out = ({tuple(row[:-1]): row[-1] for row in content[name]} for name in ("arrays", "held_out"))
    return Calibration(arrays, held_out, {name: tuple(row) for name, row in content["coefficients"].items()})
