"""The life of a run as pure functions: its script, its timeline of events, and the state that results from them."""
