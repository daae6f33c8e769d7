"""Trusted documents: the documents that a team has shipped, run by their ids, and nothing else where it says so."""
