"""Names every page URL."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from jobs.views import (
    batches,
    files,
    health,
    jobs,
    keys,
    live,
    new_batch,
    passwords,
    uploads,
    usage,
    webhooks,
)

urlpatterns = [
    path("", jobs.home, name="home"),
    path("new/<slug:slug>/", jobs.new_job, name="new_job"),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/<uuid:job_id>/", jobs.job, name="job"),
    path("jobs/<uuid:job_id>/fragment/", jobs.job_fragment, name="job_fragment"),
    path("jobs/<uuid:job_id>/live/", live.job_live, name="job_live"),
    path("jobs/<uuid:job_id>/cancel/", jobs.cancel, name="job_cancel"),
    path("jobs/<uuid:job_id>/keep/", jobs.keep, name="job_keep"),
    path("jobs/<uuid:job_id>/delete/", jobs.delete, name="job_delete"),
    path("jobs/<uuid:job_id>/outputs/<str:name>", jobs.output, name="job_output"),
    path("batches/", batches.batch_list, name="batches"),
    path("batches/new/", new_batch.choose, name="choose_batch"),
    path("batches/new/<slug:slug>/", new_batch.new_batch, name="new_batch"),
    path("batches/<uuid:batch_id>/", batches.batch, name="batch"),
    path("batches/<uuid:batch_id>/items/", batches.item_list, name="batch_items"),
    path(
        "batches/<uuid:batch_id>/fragment/",
        batches.batch_fragment,
        name="batch_fragment",
    ),
    path("batches/<uuid:batch_id>/cancel/", batches.cancel, name="batch_cancel"),
    path("batches/<uuid:batch_id>/retry/", batches.retry_failed, name="batch_retry"),
    path("files/<str:signed>", files.file, name="file"),
    path("uploads/", uploads.upload_list, name="uploads"),
    path("uploads/<uuid:upload_id>/delete/", uploads.delete, name="upload_delete"),
    path("account/usage/", usage.show, name="usage"),
    path("account/keys/", keys.key_list, name="keys"),
    path("account/keys/<int:key_id>/revoke/", keys.revoke, name="key_revoke"),
    path("account/webhooks/", webhooks.webhook_list, name="webhooks"),
    path("account/webhooks/<str:name>/", webhooks.webhook, name="webhook"),
    path("account/webhooks/<str:name>/change/", webhooks.change, name="webhook_change"),
    path(
        "account/deliveries/<uuid:delivery_id>/replay/",
        webhooks.replay,
        name="delivery_replay",
    ),
    path(
        "account/sign-in/",
        LoginView.as_view(
            template_name="registration/sign_in.html", redirect_authenticated_user=True
        ),
        name="sign_in",
    ),
    path("account/password/", passwords.Change.as_view(), name="password"),
    path("account/forgotten/", passwords.ask, name="forgotten"),
    path(
        "account/forgotten/<str:uidb64>/<str:token>/",
        passwords.Choose.as_view(),
        name="new_password",
    ),
    path("account/sign-out/", LogoutView.as_view(), name="sign_out"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
