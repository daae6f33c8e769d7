"""The public graph over the Threads API and what executes it. No network I/O here."""
