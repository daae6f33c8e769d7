"""Tests of the Threads gateway: they mirror its two packages."""
