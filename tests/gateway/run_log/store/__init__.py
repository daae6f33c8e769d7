"""Tests of the event log; a package, so that they share their stand-ins."""
