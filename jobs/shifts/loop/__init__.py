"""The loop: sends held jobs, polls those that RunPod has, takes every other step.

Celery runs it in shifts, one process at a time. All decisions are in `jobs.services`;
this package decides when and how often to ask RunPod, and over which connections.
"""
