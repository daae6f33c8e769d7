"""Attacks on a running gateway, and the program that measures them."""
