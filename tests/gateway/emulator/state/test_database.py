import sqlite3
from pathlib import Path

import pytest

from gateway.emulator.objects import UploadedFile
from gateway.emulator.state.database import SCHEMA_VERSION, DatabaseVersionError, open_database
from gateway.emulator.state.store import Store


def test_a_file_is_created_and_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "emulator.db"
    for _ in range(2):
        connection = open_database(str(file))
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        connection.close()


def test_the_files_of_a_database_of_before_move_into_pieces(tmp_path: Path) -> None:
    name = str(tmp_path / "emulator.db")
    file = UploadedFile(id="file-1", created_at=1, filename="a.bin", purpose="vision", size=100_000)
    store = Store(name)
    store.store_file("mine", file, b"")
    store.close()
    connection = sqlite3.connect(name)
    connection.execute("DROP TABLE file_pieces")
    connection.execute("CREATE TABLE file_contents (partition TEXT, file_id TEXT, content BLOB)")
    connection.execute("INSERT INTO file_contents VALUES ('mine', 'file-1', ?)", (bytes(100_000),))
    connection.commit()
    connection.close()
    for _ in range(2):
        store = Store(name)
        assert len(store.file_pieces.read_piece("mine", "file-1", 65_000)) == 35_000
        store.close()


def test_a_file_of_another_version_is_refused_by_its_name_alone(tmp_path: Path) -> None:
    file = tmp_path / "emulator.db"
    open_database(str(file)).close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DatabaseVersionError, match=r"^expected emulator.db to hold .* version 1, got version 99;"):
        open_database(str(file))


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()
    with pytest.raises(DatabaseVersionError, match="got version 0"):
        open_database(str(file))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("These are notes, and they are long enough to be no header of a database." * 20)
    with pytest.raises(DatabaseVersionError, match="got something else"):
        open_database(str(file))
