"""The upstream's successor API, conversations and responses, in the terms of threads and runs. Pure."""
