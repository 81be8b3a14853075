"""The sidebar of the operator's panel."""

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

GROUPS: dict[str, list[tuple[str, str, str]]] = {
    "": [
        ("Dashboard", "monitoring", "admin:index"),
        ("Jobs", "task", "admin:jobs_job_changelist"),
        ("Batches", "stacks", "admin:jobs_batch_changelist"),
        ("Uploads", "upload", "admin:jobs_upload_changelist"),
    ],
    "Endpoints": [
        ("Endpoints", "dns", "admin:jobs_endpoint_changelist"),
        ("Provision", "add_circle", "admin:endpoint_provision"),
        ("Account at RunPod", "account_balance", "admin:runpod_account"),
        ("Local workers", "memory", "admin:jobs_localworker_changelist"),
        ("Alerts", "notifications", "admin:jobs_alert_changelist"),
    ],
    "Money": [
        ("Spent", "payments", "admin:jobs_spend_changelist"),
        ("Budgets", "savings", "admin:jobs_budget_changelist"),
        ("GPU prices", "sell", "admin:jobs_gpuprice_changelist"),
    ],
    "People": [
        ("Users", "group", "admin:auth_user_changelist"),
        ("Groups", "groups", "admin:auth_group_changelist"),
        ("API keys", "key", "admin:jobs_apikey_changelist"),
        ("Webhooks", "webhook", "admin:jobs_webhook_changelist"),
        ("Messages", "send", "admin:jobs_delivery_changelist"),
        ("Audit log", "history", "admin:jobs_auditentry_changelist"),
    ],
}


# What one must be allowed to, where the address does not say it.
NEEDED = {
    "admin:endpoint_provision": "jobs.add_endpoint",
    "admin:runpod_account": "jobs.view_endpoint",
}


def _may_see(request: HttpRequest, *, route: str) -> bool:
    """Whether a link leads anywhere for this person."""
    app, _, model = (
        route.removeprefix("admin:").removesuffix("_changelist").partition("_")
    )
    needed = NEEDED.get(route, f"{app}.view_{model}")
    return route == "admin:index" or request.user.has_perm(needed)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups and their links (unfold's SIDEBAR.navigation)."""
    urls = {route: reverse(route) for links in GROUPS.values() for *_, route in links}
    above = [link for link in urls.values() if request.path.startswith(link)]
    here = max(above, key=len, default="")
    return [
        {
            "title": title,
            "separator": bool(title),
            "items": [
                {
                    "title": name,
                    "icon": icon,
                    "link": urls[route],
                    "active": urls[route] == here,
                    "permission": partial(_may_see, route=route),
                }
                for name, icon, route in links
            ],
        }
        for title, links in GROUPS.items()
    ]
