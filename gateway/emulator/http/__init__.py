"""The emulator's HTTP side: a handler for each operation, request counts, and the front page."""
