"""The running gateway: server, identity, upstream client, cache, run log and emulator."""
