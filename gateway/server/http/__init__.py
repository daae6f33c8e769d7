"""GraphQL over HTTP: reading a request, running its operation, writing its response."""
