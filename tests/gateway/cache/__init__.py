"""Tests of the cache; a package, so that they share their stand-ins."""
