"""Notices a foreign package that was installed over our own `schema`."""

from importlib.metadata import packages_distributions


def foreign_schema_package() -> str | None:
    """The name of another distribution that also installs a package `schema`, or None.

    PyPI has one of that name; pip overwrites files of another distribution without a word, and `pip check` finds
    nothing wrong.
    """
    owners = {name for name in packages_distributions().get("schema", ()) if name != "threads-gateway"}
    return min(owners, default=None)
