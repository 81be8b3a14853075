"""Raw ASGI receivers in front of Django: bodies that Django would hold in memory or on disk first."""
