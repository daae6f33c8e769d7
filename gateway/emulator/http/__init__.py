"""The emulator's HTTP side: one endpoint per operation, request counts, and the front page."""
