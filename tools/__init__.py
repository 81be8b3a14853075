"""What developers run, and no installation: gates and the release."""
