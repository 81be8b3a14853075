"""Telling others what happened: webhooks of users, alerts of operators. What happened is decided elsewhere."""
