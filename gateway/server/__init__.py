"""The HTTP server: the application, its endpoint, health checks and GraphiQL."""
