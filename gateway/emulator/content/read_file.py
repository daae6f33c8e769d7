"""A file that a run reads, and its description in an answer."""

import struct
from dataclasses import dataclass

from gateway.emulator.content.canvas import PNG_SIGNATURE
from gateway.emulator.content.csv_table import CsvTable, table_from_csv

_PNG_SIZE_AT = slice(16, 24)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that a question brings along: its name, its size and its beginning."""

    filename: str
    size: int
    beginning: bytes

    def describe(self) -> str:
        """Return a sentence about the file."""
        kind = "an image" if self.beginning.startswith((PNG_SIGNATURE, b"\xff\xd8\xff", b"GIF8")) else "a file"
        measures = f"{self.size} bytes"
        if self.beginning.startswith(PNG_SIGNATURE) and len(self.beginning) >= _PNG_SIZE_AT.stop:
            width, height = struct.unpack(">II", self.beginning[_PNG_SIZE_AT])
            measures = f"{width} × {height} pixels and {measures}"  # noqa: RUF001
        return f"{self.filename} is {kind} of {measures}."

    def to_table(self) -> CsvTable | None:
        """Return the table of a CSV file. None if it has another form, or if only its beginning was read."""
        return table_from_csv(self.beginning) if len(self.beginning) == self.size else None
