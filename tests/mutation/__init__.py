"""Change what decides, one edit at a time, and see whether a test notices."""
