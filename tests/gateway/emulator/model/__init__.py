"""Tests of runs that a model answers."""
