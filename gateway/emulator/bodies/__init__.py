"""JSON bodies and list queries of the API: the requests of clients, and the replies to them."""
