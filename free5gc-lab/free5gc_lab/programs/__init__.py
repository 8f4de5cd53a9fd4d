"""Programs that run inside lab hosts: JSON records out, one a line, and commands in."""
