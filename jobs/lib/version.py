"""Slipway's version, and the User-Agent of its own requests."""

from slipway import __version__

# Cloudflare answers 403 to the default agents of HTTP libraries.
USER_AGENT = f"Slipway/{__version__}"

__all__ = ["USER_AGENT", "__version__"]
