"""The client of the upstream REST API: pure functions for requests and responses, and a thin layer that sends them."""
