"""The conversations that a seeded partition holds."""
