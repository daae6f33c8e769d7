"""Tests of the operations over a socket."""
