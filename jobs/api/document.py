"""The OpenAPI document: what ninja derives from types, and what it cannot know."""

from typing import Any

from django.conf import settings
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from jobs.api.errors import TITLES
from jobs.api.schemas import Problem

SCHEME = "ApiKey"
ALWAYS = (400, 401, 403, 404, 429, 503)
CHANGING = (402, 409, 413, 415, 422, 507)
VERBS = {"get", "post", "put", "patch", "delete"}
RATE_HEADERS = {
    "RateLimit": {
        "description": "What is left of this minute's requests, and seconds until more.",
        "schema": {"type": "string"},
        "example": '"reads";r=11999;t=60',
    }
}


class Document(NinjaAPI):
    """The API, describing itself."""

    def get_openapi_schema(
        self,
        *,
        path_prefix: str | None = None,
        path_params: dict[str, Any] | None = None,
    ) -> OpenAPISchema:
        """Return the document."""
        schema = super().get_openapi_schema(
            path_prefix=path_prefix, path_params=path_params
        )
        schema["servers"] = [{"url": settings.PUBLIC_URL}]
        parts = schema["components"]
        # ninja only brings the schemas that a view names.
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        parts["schemas"] |= problem.pop("$defs") | {"Problem": problem}
        parts["securitySchemes"] = {
            SCHEME: {
                "type": "http",
                "scheme": "bearer",
                "description": "A key from the page API keys. Its scopes stand beside "
                "each operation.",
            }
        }
        parts["responses"] = {f"Problem{status}": _problem(status) for status in TITLES}
        for path in schema["paths"].values():
            for verb in VERBS & set(path):
                _complete(path[verb], verb)
        return schema


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": TITLES[status],
        "content": {"application/problem+json": {"schema": schema}},
    }


def _complete(operation: dict[str, Any], verb: str) -> None:
    operation["operationId"] = (
        operation["operationId"].rpartition("api_")[2].partition("_")[2]
    )
    for requirement in operation.get("security", []):
        for name in list(requirement):
            requirement[SCHEME] = requirement.pop(name)
    answers = operation["responses"]
    for answer in answers.values():
        answer.setdefault("headers", RATE_HEADERS)
    statuses = ALWAYS if verb == "get" else (*ALWAYS, *CHANGING)
    for status in statuses:
        ref = f"#/components/responses/Problem{status}"
        answers.setdefault(status, {"$ref": ref})
