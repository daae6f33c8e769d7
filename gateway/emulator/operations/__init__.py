"""What each REST operation does: a synchronous function from a call to a JSON object."""
