"""A table of counts whose cells can be pressed."""

from pathlib import Path
from typing import Any

import pandas as pd
import traitlets
from anywidget import AnyWidget


class Matrix(AnyWidget):
    """Counts by row and column; `cell` is the one that was pressed last, empty at first.

    Attributes:
        cell: names of its row and column.
    """

    _esm = Path(__file__).with_name("matrix.js")
    _css = Path(__file__).with_name("matrix.css")
    rows: traitlets.List = traitlets.List().tag(sync=True)
    columns: traitlets.List = traitlets.List().tag(sync=True)
    counts: traitlets.List = traitlets.List().tag(sync=True)
    cell: traitlets.List = traitlets.List().tag(sync=True)

    def __init__(self, counts: pd.DataFrame, **traits: Any):
        super().__init__(**traits)
        self.show(counts)

    def show(self, counts: pd.DataFrame) -> None:
        """Other counts from now on; no cell is pressed."""
        with self.hold_sync():
            self.rows, self.columns = [str(n) for n in counts.index], [str(n) for n in counts]
            self.counts, self.cell = counts.to_numpy().tolist(), []
