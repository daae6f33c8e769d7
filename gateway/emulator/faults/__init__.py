"""Faults on request: rules, their textual form, and the responses that they spoil."""
