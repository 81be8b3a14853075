"""The loop: sends held jobs, polls those that RunPod has, takes every other step.

Run by Celery in shifts, one process at a time. All decisions are in `jobs.services`;
here is when and how often RunPod is asked, over which connections.
"""
