"""The GraphiQL page: its script from the package, its tabs from the example operations."""
