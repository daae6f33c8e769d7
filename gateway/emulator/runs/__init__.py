"""The life of a run, as pure functions: its script, its timeline of events, and the state that they make."""
