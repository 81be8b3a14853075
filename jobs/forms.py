"""Pages' input: a Django form from an endpoint's JSON Schema.

The form only reads what was typed. Whether it is right is judged once, by
`services.lifecycle.inputs`, for pages and programs alike; its problems are put at the fields.
"""

import json
from typing import Any

from django import forms

from jobs.lib.errors import InvalidInput
from jobs.models import Endpoint, Upload
from jobs.services.files import references

LONG_TEXT = 200


class FileWidget(forms.TextInput):
    """A URL or `upload:<id>`; static/js/file-field.js makes it a place to drop files."""

    template_name = "forms/file_field.html"

    def __init__(self, accept: list[str]) -> None:
        super().__init__()
        self.accept = accept
        self.owner: Any = None

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Add what the element needs to show a file that is already here."""
        context = super().get_context(name, value, attrs)
        context["accept"] = ",".join(self.accept)
        uploads = references.uploads_of(value)
        if uploads and self.owner:
            visible = Upload.objects.visible_to(self.owner)
            context["upload"] = visible.filter(pk=uploads[0]).first()
        return context


class InputForm(forms.Form):
    """The fields of an endpoint's input, in the order of its schema."""

    def __init__(
        self, endpoint: Endpoint, owner: Any, data: Any = None, initial: Any = None
    ) -> None:
        super().__init__(data, prefix="input", initial=initial)
        self.endpoint = endpoint
        required = endpoint.input_schema.get("required", [])
        for name, schema in endpoint.input_schema.get("properties", {}).items():
            field = _field(schema)
            field.label = schema.get("title", name)
            field.help_text = schema.get("description", "")
            field.initial = schema.get("default")
            field.is_advanced = bool(schema.get("x-advanced"))  # type: ignore[attr-defined]
            field.is_marked = name in required  # type: ignore[attr-defined]
            if isinstance(field.widget, FileWidget):
                field.widget.owner = owner
            self.fields[name] = field

    def plain_fields(self) -> list[forms.BoundField]:
        """Return the fields that are always shown."""
        return [f for f in self if not getattr(f.field, "is_advanced", False)]

    def advanced_fields(self) -> list[forms.BoundField]:
        """Return the fields behind “Advanced”."""
        return [f for f in self if getattr(f.field, "is_advanced", False)]

    def presets(self) -> list[dict[str, str]]:
        """Return the schema's presets: what is on the button, and what it fills in."""
        return [
            {"title": preset["title"], "input": json.dumps(preset["input"])}
            for preset in presets_of(self.endpoint)
        ]

    def licence(self) -> str:
        """Return whose model this is, and under which licence; empty if not told."""
        return str(self.endpoint.input_schema.get("x-licence") or "")

    def without(self, name: str) -> "InputForm":
        """Return the form for what all items of a batch have, which lack one field."""
        self.fields.pop(name, None)
        return self

    def job_input(self) -> dict[str, Any]:
        """Return the typed values, without what was left empty."""
        return {
            name: _typed(value, self.endpoint.input_schema["properties"][name])
            for name, value in self.cleaned_data.items()
            if value not in ("", None)
        }

    def show(self, error: InvalidInput) -> None:
        """Put each problem at its field, or above the form."""
        for problem in error.problems:
            name = problem.pointer.removeprefix("/input/").split("/")[0]
            self.add_error(name if name in self.fields else None, problem.message)


def presets_of(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the usable ones of the schema's `x-presets`: {"title", "input"}."""
    presets = endpoint.input_schema.get("x-presets")
    return [
        preset
        for preset in (presets if isinstance(presets, list) else [])
        if isinstance(preset, dict)
        and isinstance(preset.get("title"), str)
        and isinstance(preset.get("input"), dict)
    ]


def _field(schema: dict[str, Any]) -> forms.Field:
    """Return a form field that reads a value of this schema. Nothing is required."""
    if schema.get("x-widget") == "file":
        return forms.CharField(required=False, widget=FileWidget(schema["x-accept"]))
    if "enum" in schema:
        choices = [(str(value), str(value).capitalize()) for value in schema["enum"]]
        return forms.ChoiceField(
            required=False, choices=choices, widget=forms.RadioSelect
        )
    kind = schema.get("type")
    if kind == "boolean":
        return forms.BooleanField(required=False)
    if kind in {"integer", "number"}:
        return _number(schema)
    is_long = schema.get("maxLength", LONG_TEXT + 1) > LONG_TEXT
    widget = forms.Textarea({"rows": 3}) if is_long else forms.TextInput()
    return forms.CharField(required=False, widget=widget, strip=False)


def _number(schema: dict[str, Any]) -> forms.Field:
    low, high = schema.get("minimum"), schema.get("maximum")
    is_whole = schema["type"] == "integer"
    attrs: dict[str, Any] = {"step": 1 if is_whole else "any"}
    attrs |= {"min": low} if low is not None else {}
    attrs |= {"max": high} if high is not None else {}
    kind = forms.IntegerField if is_whole else forms.FloatField
    return kind(required=False, widget=forms.NumberInput(attrs))


def _typed(value: Any, schema: dict[str, Any]) -> Any:
    """Give a choice, which a browser sends as text, its own type back; 300.0 is 300."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    choices = {str(choice): choice for choice in schema.get("enum", [])}
    return choices.get(str(value), value) if choices else value
