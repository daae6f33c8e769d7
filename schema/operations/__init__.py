"""The limits of every operation: its document, its predicted upstream calls, and the execution of its events."""
