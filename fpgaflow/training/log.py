"""What each epoch gave, as a CSV file or for TensorBoard."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from fpgaflow.errors import MissingTool
from fpgaflow.files import write_atomic
from fpgaflow.training.recipe import Log

FILE = "log.csv"
_FOLDER = "tensorboard"
_COLUMNS = ("phase", "number", "loss", "learning_rate", "validation")


class EpochLog:
    """Rows, those of an earlier run first; each new one is written at once. `kind` None writes nothing."""

    def __init__(self, folder: Path, kind: Log | None, rows: list[dict[str, Any]]) -> None:
        self.folder, self.kind, self.rows = folder, kind, rows
        self._board: Any = None
        if kind is Log.TENSORBOARD:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError:
                raise MissingTool(
                    "train.log: tensorboard", "tensorboard is not installed", "pip install tensorboard"
                ) from None
            self._board = SummaryWriter(str(folder / _FOLDER), purge_step=len(rows))

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self.kind is Log.CSV:
            text = io.StringIO()
            writer = csv.DictWriter(text, ("phase", "epoch", *_COLUMNS[2:]), lineterminator="\n")
            writer.writeheader()
            for each in self.rows:
                writer.writerow(
                    {**{name: each[name] for name in _COLUMNS if name != "number"}, "epoch": each["number"]}
                )
            write_atomic(self.folder / FILE, text.getvalue())
        elif self._board is not None:
            for name in _COLUMNS[2:]:
                if row[name] is not None:
                    self._board.add_scalar(f"{row['phase']}/{name}", row[name], len(self.rows) - 1)
            self._board.flush()
