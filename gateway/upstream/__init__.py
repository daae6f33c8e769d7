"""The client of the upstream REST API: calls and answers as pure functions, and a thin layer that sends them."""
