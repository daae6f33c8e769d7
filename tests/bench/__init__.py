"""Measurements, side by side in one run and quoted as ratios; no tests, since machines differ."""
