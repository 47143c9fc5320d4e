"""What content does for the viable system's ports."""
