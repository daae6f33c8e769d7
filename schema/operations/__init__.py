"""Execution of operations under limits: of their documents and of their predicted upstream calls."""
