"""The settings by group: their names, types, defaults, meanings and checks."""
