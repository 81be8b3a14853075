"""Every route of the URL configuration, by its door."""

from django.urls import URLResolver, get_resolver


def routes(resolver=None, prefix=""):
    for entry in (resolver or get_resolver()).url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        else:
            yield path.replace("<uuidstr:", "<uuid:")  # ninja's name for it


ROUTES = sorted(set(routes()))
PANEL = [r for r in ROUTES if r.startswith("admin/") and r != "admin/login/"]
OURS = [route for route in ROUTES if not route.startswith("admin/")]
