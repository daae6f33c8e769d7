"""Tests of the answers that a model gives."""
