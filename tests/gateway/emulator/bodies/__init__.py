"""Tests of request bodies and replies."""
