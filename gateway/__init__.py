"""How things move: the HTTP application, the upstream client, caches, events and the emulator."""
