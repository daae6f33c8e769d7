"""Tests of the request bodies."""
