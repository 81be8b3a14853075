"""What Celery runs for as long as it holds a lease: the loop, and the courier of webhooks."""
