"""The page of a person's files."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs.lib import conf
from jobs.lib.errors import SlipwayError
from jobs.models import Job, Upload
from jobs.services.files import uploads as service

PAGE = 50


@require_safe
@login_required
def upload_list(request: HttpRequest) -> HttpResponse:
    """List files, newest first."""
    uploads = Upload.objects.visible_to(request.user).select_related("owner")
    used = uploads.aggregate(bytes=Sum("size"))["bytes"] or 0
    # Counted by a subquery: only for the rows of the page.
    jobs = Job.objects.filter(uploads=OuterRef("pk")).order_by().values("uploads")
    count = Subquery(jobs.annotate(count=Count("pk")).values("count"))
    rows = uploads.annotate(job_count=Coalesce(count, 0))
    page = Paginator(rows.order_by("-created_at", "-pk"), PAGE).get_page(
        request.GET.get("page")
    )
    context = {"page": page, "used": used, "limit": conf.USER_MAX_BYTES}
    return render(request, "uploads/list.html", context)


@login_required
@require_POST
def delete(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """Delete a file, unless a job needs it now."""
    visible = Upload.objects.visible_to(request.user)
    upload: Upload = get_object_or_404(visible, pk=upload_id)
    try:
        service.discard(upload)
    except SlipwayError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{upload.filename} is deleted.")
    return redirect("uploads")
