"""The demo: the conversations and assistants of a seeded partition."""
