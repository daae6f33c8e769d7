"""The emulator's state in SQLite, and bringing its runs up to the present."""
