"""Event streams of runs: which events a stream shows, and the streams that are open."""
