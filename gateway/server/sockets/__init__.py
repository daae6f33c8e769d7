"""Listening sockets and the connections that they accept, with the limits that hold for every connection."""
