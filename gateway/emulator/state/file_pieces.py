"""The contents of files in SQLite, in pieces, so that neither an upload nor a download holds a whole file."""

import sqlite3
from typing import IO

PIECE_BYTES = 1 << 16


class FilePieces:
    """The contents of all files of one database. Each is deleted together with its file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def store_content(self, partition: str, file_id: str, content: IO[bytes]) -> None:
        """Store the content of a new file, from where `content` stands to its end."""
        start = 0
        while piece := content.read(PIECE_BYTES):
            self._connection.execute(
                "INSERT INTO file_pieces (partition, file_id, start, content) VALUES (?, ?, ?, ?)",
                (partition, file_id, start, piece),
            )
            start += len(piece)

    def read_piece(self, partition: str, file_id: str, start: int) -> bytes:
        """Return what the piece with this byte holds from it on. Nothing at the end, and of a file that is deleted."""
        row = self._connection.execute(
            "SELECT start, content FROM file_pieces WHERE partition = ? AND file_id = ? AND start <= ? "
            "ORDER BY start DESC LIMIT 1",
            (partition, file_id, start),
        ).fetchone()
        return b"" if row is None else bytes(row[1][start - row[0] :])
