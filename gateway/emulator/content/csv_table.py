"""The table in a CSV file: a column of numbers, and the labels of its rows."""

import csv
import io
from dataclasses import dataclass

_MAX_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table as far as the code interpreter uses it.

    Attributes:
        columns: The names of all columns.
        label_column: The column that names the rows. Empty if there is none, since rows then have numbers.
        number_column: The first column that holds a number in each row.
        rows: Label and number of each row.
    """

    columns: tuple[str, ...]
    label_column: str
    number_column: str
    rows: tuple[tuple[str, float], ...]

    def ranked_rows(self) -> list[tuple[str, float]]:
        """Return the rows with the largest number first."""
        return sorted(self.rows, key=lambda row: -row[1])

    def ranked_csv(self) -> str:
        """Return the ranked rows as a CSV file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((self.label_column or "row", self.number_column))
        writer.writerows((label, f"{number:.15g}") for label, number in self.ranked_rows())
        return text.getvalue()


def table_from_csv(content: bytes) -> CsvTable | None:
    """Return the table of a CSV file in UTF-8, or None if it has no column of numbers."""
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True))[: _MAX_ROWS + 1]
    except (UnicodeDecodeError, csv.Error):
        return None
    head, *rows = [line for line in lines if line] or [[]]
    if not rows or any(len(row) != len(head) for row in rows):
        return None
    columns = list(zip(*rows, strict=True))
    numbers = [_to_numbers(column) for column in columns]
    number_place = next((place for place, column in enumerate(numbers) if column is not None), None)
    if number_place is None:
        return None
    label_place = next((place for place, column in enumerate(numbers) if column is None), None)
    labels = [str(number) for number in range(1, len(rows) + 1)] if label_place is None else columns[label_place]
    return CsvTable(
        columns=tuple(head),
        label_column="" if label_place is None else head[label_place],
        number_column=head[number_place],
        rows=tuple(zip(labels, numbers[number_place] or (), strict=True)),
    )


def _to_numbers(column: tuple[str, ...]) -> list[float] | None:
    try:
        numbers = [float(cell) for cell in column]
    except ValueError:
        return None
    return numbers if all(abs(number) < 1e15 for number in numbers) else None
