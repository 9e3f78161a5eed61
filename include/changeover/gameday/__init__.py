"""The game day: real upgrades in the lab, broken on purpose in every phase, and what was recorded."""
