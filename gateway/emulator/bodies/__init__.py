"""JSON bodies and queries of the API: what clients send, and what they get back."""
