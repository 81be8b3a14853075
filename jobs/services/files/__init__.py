"""Files from users and workers: where they are stored, how they come and go."""
