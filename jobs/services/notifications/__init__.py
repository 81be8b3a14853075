"""Notifies others of what happened: webhooks of users, alerts of operators."""
