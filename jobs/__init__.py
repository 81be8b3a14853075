"""Slipway's one Django app. `docs/architecture.md` shows its layers."""
