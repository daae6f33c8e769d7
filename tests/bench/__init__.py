"""Measurements, made side by side in one run and given as ratios. They are not tests, since machines differ."""
