"""The form of a new batch: where its items are, and how they are to be run.

As `forms`, it only reads what was typed; services judge it.
"""

import json
from collections.abc import Sequence
from typing import Any

from django import forms

from jobs.forms import FileWidget
from jobs.lib import conf
from jobs.lib.errors import InvalidInput
from jobs.models import Endpoint
from jobs.services.batching import item_sources
from jobs.services.batching.batches import Options
from jobs.services.lifecycle.batch_envelope import PAYLOAD

LIST_FILES = ["application/json", "text/csv", "text/plain"]
LABELS = {
    "dropped": "Files",
    "pasted": "List",
    "file": "File of items",
    "bucket": "Bucket",
}
# Which field of the form has what a problem's pointer names.
FIELDS = {
    "file": "file",
    "format": "file",
    "file_path_lister": "s3_paths",
    "delimited_files": "s3_paths",
}
Json = dict[str, Any]


class BatchForm(forms.Form):
    """What is asked beside the input that all items have."""

    source = forms.ChoiceField(
        label="Where are the items?", widget=forms.RadioSelect, choices=[]
    )
    dropped = forms.CharField(
        label="Files",
        required=False,
        widget=forms.Textarea(
            {"rows": 3, "placeholder": "https://…, one on each line"}
        ),
        help_text="Each file is one item.",
    )
    pasted = forms.CharField(
        label="Items",
        required=False,
        widget=forms.Textarea({"rows": 8, "spellcheck": "false"}),
    )
    file = forms.CharField(label="File with items", required=False)
    s3_paths = forms.CharField(
        label="Paths",
        required=False,
        widget=forms.Textarea({"rows": 2, "placeholder": "s3://bucket/prefix/"}),
        help_text="Prefixes or whole paths, one on each line.",
    )
    includes = forms.CharField(
        label="Only files like",
        required=False,
        help_text="Patterns for the whole path, with a space between: **.mp4 **.mov",
    )
    excludes = forms.CharField(label="But none like", required=False)
    is_delimited = forms.BooleanField(
        label="The files hold items as JSON; otherwise each file is one item",
        required=False,
    )
    batch_size = forms.IntegerField(
        label="Items in one job", required=False, min_value=1, max_value=10_000
    )
    config = forms.CharField(
        label="Config",
        required=False,
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text="A JSON object; wins over the endpoint's own.",
    )
    name = forms.CharField(label="Name", required=False, max_length=80)
    workers = forms.IntegerField(
        label="At most so many at a time", required=False, min_value=1
    )
    max_attempts = forms.IntegerField(
        label="Attempts",
        required=False,
        min_value=1,
        max_value=100,
        help_text="Of each item, whatever its error. Empty: as usual at this endpoint.",
    )
    timeout = forms.IntegerField(
        label="Stop after (minutes)", required=False, min_value=1, max_value=525_600
    )

    def __init__(self, endpoint: Endpoint, owner: Any, data: Any = None) -> None:
        super().__init__(data, prefix="batch")
        self.endpoint = endpoint
        self.field_name = item_sources.default_field(endpoint)
        properties = endpoint.input_schema.get("properties", {})
        self.has_payload = PAYLOAD in properties
        self.has_file = self.field_name in endpoint.file_fields()
        source: Any = self.fields["source"]
        source.choices = [(name, LABELS[name]) for name in self._sources()]
        source.initial = source.choices[0][0]
        widget = FileWidget(LIST_FILES)
        widget.owner = owner
        self.fields["file"].widget = widget
        self.fields["workers"].help_text = f"Empty: {conf.BATCH_IN_FLIGHT}."
        if self.has_payload:
            self.fields["batch_size"].initial = 1
        else:
            del self.fields["batch_size"], self.fields["config"]

    def _sources(self) -> list[str]:
        files = ["dropped"] if self.has_file else []
        has_bucket = conf.BATCH_SOURCES != [] and item_sources.has_bucket()
        return [*files, "pasted", "file", *(["bucket"] if has_bucket else [])]

    def clean_config(self) -> Json:
        """Read the config as JSON."""
        text = self.cleaned_data["config"].strip()
        try:
            config = json.loads(text) if text else {}
        except ValueError:
            raise forms.ValidationError("This is not JSON.") from None
        if not isinstance(config, dict):
            raise forms.ValidationError("Write a JSON object: {…}.")
        return config

    def clean(self) -> Json:
        """Ask for what the chosen source needs."""
        cleaned: Json = super().clean() or {}
        needed = {"bucket": "s3_paths"}.get(
            cleaned.get("source", ""), cleaned.get("source")
        )
        if needed and not str(cleaned.get(needed) or "").strip():
            words = (
                "Choose at least one file." if needed == "dropped" else "Say what runs."
            )
            self.add_error(needed, words)
        if self.has_payload and not cleaned.get("batch_size"):
            cleaned["batch_size"] = 1
        return cleaned

    def items(self) -> Sequence[Any] | None:
        """Return what was typed, item by item; None where it is to be read."""
        source = self.cleaned_data["source"]
        if source not in {"dropped", "pasted"}:
            return None
        lines = self.cleaned_data[source].splitlines()
        return [_item(line.strip()) for line in lines if line.strip()]

    def source_with(self, common: Json) -> Json:
        """Return where the items are to be read from."""
        cleaned = self.cleaned_data
        shared = {"input": common, "field": self.field_name}
        if cleaned["source"] == "file":
            return {"kind": "file", "upload": cleaned["file"], **shared}
        return {
            "kind": "delimited" if cleaned["is_delimited"] else "listing",
            "s3_paths": cleaned["s3_paths"].split(),
            "includes": cleaned["includes"].split(),
            "excludes": cleaned["excludes"].split(),
            **shared,
        }

    def options(self) -> Options:
        """Return how the batch is to be run."""
        cleaned = self.cleaned_data
        size, minutes = cleaned.get("batch_size"), cleaned["timeout"]
        is_ours = self.endpoint.contract == Endpoint.Contract.SLIPWAY
        return Options(
            name=cleaned["name"],
            workers=cleaned["workers"],
            batch_size=size,
            config=cleaned.get("config") or {},
            max_attempts=cleaned["max_attempts"],
            timeout_seconds=minutes * 60 if minutes else None,
            has_completion=bool(size and is_ours),
        )

    def show(self, error: InvalidInput) -> None:
        """Put each problem at its field; of items, say which."""
        typed = self.cleaned_data["source"]
        for problem in error.problems[:20]:
            first, *rest = problem.pointer.strip("/").split("/")
            if first == "items" and rest:
                place = f"Item {int(rest[0]) + 1}"
                inside = "/".join(name for name in rest[1:] if name != self.field_name)
                text = f"{place}{f', {inside}' if inside else ''}: {problem.message}"
                self.add_error(typed, text)
            else:
                self.add_error(FIELDS.get(first), problem.message)


def _item(line: str) -> Any:
    """Read a line: an object in JSON, or a text."""
    if line.startswith(("{", "[")):
        try:
            return json.loads(line)
        except ValueError:
            return line
    return line
