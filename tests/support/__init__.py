"""Helpers that several tests share: clients, browsers, programs."""
