"""Fault injection on request: rules, their form as text, and the faulty responses."""
