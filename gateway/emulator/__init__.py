"""The bundled Threads API server. It imports nothing else of this project and is reached over HTTP only."""
