"""k6: its command line, its raw points, and what makes its load invalid."""
