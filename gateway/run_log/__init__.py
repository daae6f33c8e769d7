"""Run events: recorders append them to a log, and readers follow the log from any cursor. Start reading at `hub`."""
