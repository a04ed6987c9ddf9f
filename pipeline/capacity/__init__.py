"""How many Projects, or objects, a build holds before a limit breaks."""
