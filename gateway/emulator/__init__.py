"""The bundled Threads API server: a stranger to the gateway, which it meets only over HTTP."""
