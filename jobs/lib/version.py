"""Which Slipway this is, and how it calls itself when it asks others."""

from slipway import __version__

# Cloudflare answers 403 to bare library agents.
USER_AGENT = f"Slipway/{__version__}"

__all__ = ["USER_AGENT", "__version__"]
