"""Event streams of runs: the events that a stream shows, and the streams that are open."""
