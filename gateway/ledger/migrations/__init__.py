"""Alembic's environment: how the tables came to be, one file in `versions/` for each step."""
