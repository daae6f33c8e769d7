"""What several tests need: clients, browsers, programs."""
