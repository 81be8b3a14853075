"""What Celery runs while it holds a lease: the loop, and the courier of webhooks."""
