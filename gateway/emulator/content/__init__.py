"""The contents of files that the emulator makes itself, or reads. Pure."""
