"""Tests of the event log; a package, so that they can share their helpers."""
