"""For an edit that acts at import: which lines of functions use what it defines."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.mutation.sources import FUNCTIONS, Mutant, Source

FOLDERS = ("jobs", "webapp", "worker_handler", "client")


def lines_using(root: Path, source: Source, mutant: Mutant) -> set[int] | None:
    """Return the lines of functions where the names it defines are used.

    None where other modules use them too, or nobody can tell.
    """
    names = set(mutant.names)
    if not names or any(_is_class(source, name) for name in names):
        return None
    while more := _defined_from(source, names) - names:
        names |= more
    if names & _used_at_import(source):
        return None
    if any(_is_used_elsewhere(root, source.path, name) for name in names):
        return None
    return {line for name in names for line in _lines(source, name)}


def _used_at_import(source: Source) -> set[str]:
    """Return names used by decorators, defaults of arguments and bodies of classes."""
    used = set()
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            given = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
            used |= {name for one in given if one for name in _used(one)}
        elif isinstance(node, ast.ClassDef):
            plain = [one for one in node.body if not isinstance(one, FUNCTIONS)]
            given = [*node.bases, *node.decorator_list, *plain]
            used |= {name for one in given for name in _used(one)}
    return used


def _is_class(source: Source, name: str) -> bool:
    return any(
        isinstance(one, (ast.ClassDef, *FUNCTIONS)) and one.name == name
        for one in source.tree.body
    )


def _defined_from(source: Source, names: set[str]) -> set[str]:
    """Return what other statements of the top level bind from these names."""
    new = set()
    for statement in source.tree.body:
        if (
            isinstance(statement, ast.Assign | ast.AnnAssign)
            and _used(statement) & names
        ):
            targets = getattr(
                statement, "targets", [getattr(statement, "target", None)]
            )
            new |= {one.id for one in targets if isinstance(one, ast.Name)}
    return new


def _used(node: ast.AST) -> set[str]:
    return {
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
    }


def _lines(source: Source, name: str) -> set[int]:
    """Return the lines of all statements, in functions, of functions that use a name."""
    lines = set()
    for function in ast.walk(source.tree):
        if isinstance(function, FUNCTIONS) and name in _used(function):
            lines |= {
                one.lineno for one in ast.walk(function) if isinstance(one, ast.stmt)
            }
    return lines


@cache
def _texts(root: Path) -> dict[str, str]:
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    return {str(path.relative_to(root)): path.read_text() for path in files}


@cache
def _is_used_elsewhere(root: Path, path: str, name: str) -> bool:
    """Whether another file imports the module and has the name."""
    stem = Path(path).stem
    word, module = (
        re.compile(rf"\b{name}\b"),
        re.compile(rf"import.*\b{stem}\b|\b{stem} import"),
    )
    return any(
        word.search(text) and module.search(text)
        for other, text in _texts(root).items()
        if other != path
    )
