"""The emulator's state in SQLite, and the update of its runs to the present time."""
