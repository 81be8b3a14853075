"""CHANGELOG.md as Keep a Changelog has it: a section for each version, newest first."""

import re

HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\].*$", re.MULTILINE)
UNRELEASED = "Unreleased"


class BadChangelog(Exception):
    """The file is not as it should be; the text says what to do."""


def versions(text: str) -> list[str]:
    """Return the names of the released versions."""
    return [name for name in HEADING.findall(text) if name != UNRELEASED]


def section(text: str, name: str) -> str:
    """Return what stands below a version's heading, or raise `BadChangelog`."""
    headings = list(HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["name"] == name:
            end = following.start() if following else len(text)
            return text[heading.end() : end].strip()
    raise BadChangelog(f"CHANGELOG.md has no section [{name}].")


def released(text: str, version: str, day: str) -> str:
    """Return the text with what was unreleased under a version, and an empty section."""
    news = section(text, UNRELEASED)
    # Headings alone, as of an empty "### Added", tell nobody anything.
    if not re.sub(r"^#.*$", "", news, flags=re.MULTILINE).strip():
        raise BadChangelog("Nothing stands under [Unreleased] in CHANGELOG.md.")
    old = f"## [{UNRELEASED}]"
    return text.replace(old, f"{old}\n\n## [{version}] - {day}", 1)
