"""Tests of the bundled Threads API server."""
