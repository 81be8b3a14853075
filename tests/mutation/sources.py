"""One module's source: its mutants, and its code as it is, mutated, or telling its lines."""

import ast
import marshal
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.mutation.operators import TEXT_ONLY, edits, is_silent

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
HEADS = (ast.expr, ast.stmt, ast.ExceptHandler, ast.match_case)
LONG, CONTEXT = 160, 40
SHOWN = 88  # as many characters of an edit's surroundings are shown
LINES = 100_000  # more than any file has


@dataclass(frozen=True)
class Mutant:
    """One edit: where it is, how it reads, and the module's code with it."""

    path: str
    scope: str  # qualified name of the innermost function or class
    line: int  # of the statement
    before: str
    after: str
    function: str  # the outermost function; "" if the edit acts at import
    names: frozenset[
        str
    ]  # what the top level's statement defines, if it acts at import
    is_table: bool  # whether it acts at import, in the value of an assignment
    code: bytes = field(repr=False)

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.path, self.scope, self.before, self.after


class Source:
    """A module, read once."""

    def __init__(self, root: Path, path: str, number: int = 0) -> None:
        self.path, self.number = path, number
        self.file = str((root / path).resolve())
        self.text = Path(self.file).read_text()
        self.tree = ast.parse(self.text)

    def mutants(self) -> Iterator[Mutant]:
        """Yield every mutant whose code is new."""
        seen = {marshal.dumps(self._compiled())}
        for mutant in _Walk(self).mutants():
            if mutant.code not in seen:
                seen.add(mutant.code)
                yield mutant

    def code(self) -> bytes:
        """Return its code as it is."""
        return marshal.dumps(self._compiled())

    def telling(self) -> object:
        """Return its code, calling `__reached__` before each statement in functions."""
        tree = ast.parse(self.text)
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                self._tell(node)
        ast.fix_missing_locations(tree)
        return compile(tree, self.file, "exec", dont_inherit=True)

    def _tell(self, function: ast.AST) -> None:
        for node in ast.walk(function):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list) and not isinstance(node, ast.ClassDef):
                    setattr(
                        node, name, [new for old in block for new in self._told(old)]
                    )

    def _told(self, statement: ast.stmt) -> list[ast.stmt]:
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.Expr) and isinstance(value, ast.Constant):
            return [statement]  # a docstring
        if getattr(statement, "is_told", False):
            return [statement]
        place = ast.Constant(self.number * LINES + statement.lineno)
        call = ast.Expr(ast.Call(ast.Name("__reached__", ast.Load()), [place], []))
        ast.copy_location(call, statement)
        call.is_told = statement.is_told = True
        return [call, statement]

    def _compiled(self) -> object:
        return compile(self.tree, self.file, "exec", dont_inherit=True)


class _Walk:
    """Goes through the tree, makes each edit, compiles, takes it back."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._above: list[ast.AST] = []

    def mutants(self) -> Iterator[Mutant]:
        yield from self._inside(self._source.tree)

    def _inside(self, node: ast.AST) -> Iterator[Mutant]:
        self._above.append(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_comment", "ctx"):
                continue
            if isinstance(value, ast.AST):
                yield from self._at(value, lambda new, n=name: setattr(node, n, new))
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        put = lambda new, v=value, i=index: v.__setitem__(i, new)  # noqa: E731
                        yield from self._at(item, put)
        self._above.pop()

    def _at(self, node: ast.AST, put: object) -> Iterator[Mutant]:
        if is_silent(node) or self._is_only_text(node):
            return
        for new in edits(node, self._above[-1]):
            mutant = self._made(node, new, put)
            if mutant:
                yield mutant
        if not isinstance(node, ast.JoinedStr):
            yield from self._inside(node)

    def _is_only_text(self, node: ast.AST) -> bool:
        """Whether it is a docstring, or words for people: of an error, of a repr."""
        if isinstance(node, FUNCTIONS):
            return node.name in TEXT_ONLY
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return True
        is_text = isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        if is_text and any(isinstance(one, ast.Raise) for one in self._above[-3:]):
            return True
        above = self._above[-1]
        return is_text and self._is_choice() and node is above.elts[-1]

    def _is_choice(self) -> bool:
        """Whether the last node is value and label, in a class of choices."""
        if len(self._above) < 3 or not isinstance(self._above[-1], ast.Tuple):
            return False
        return isinstance(self._above[-3], ast.ClassDef)

    def _made(self, old: ast.AST, new: ast.AST, put: object) -> Mutant | None:
        shown = self._shown(old)
        before = _text(shown)
        if "lineno" in old._attributes and "lineno" in new._attributes:
            ast.copy_location(new, old)
        put(new)
        try:
            after = _text(new if shown is old else shown)
            ast.fix_missing_locations(self._source.tree)
            before, after = _differing(before, after)
            code = marshal.dumps(self._source._compiled())
        except (SyntaxError, ValueError):
            return None
        finally:
            put(old)
        return self._described(old, before, after, code)

    def _described(self, old: ast.AST, before: str, after: str, code: bytes) -> Mutant:
        chain = [*self._above, old]
        statement = [one for one in chain if isinstance(one, ast.stmt)][-1]
        function, scope = "", []
        for one, below in pairwise([*chain, None]):
            if isinstance(one, (*FUNCTIONS, ast.ClassDef)) and below in one.body:
                scope.append(one.name)
                if isinstance(one, FUNCTIONS) and not function:
                    function = ".".join(scope)
        top = chain[1]
        return Mutant(
            self._source.path,
            ".".join(scope),
            statement.lineno,
            before,
            after,
            function,
            frozenset() if function else _defined(top),
            not function and isinstance(top, ast.Assign | ast.AnnAssign),
            code,
        )

    def _shown(self, node: ast.AST) -> ast.AST:
        """Return the largest surroundings that fit into a line."""
        shown = node
        for above in reversed(self._above):
            if not isinstance(shown, ast.expr) and isinstance(shown, HEADS):
                break
            if isinstance(above, ast.Module | ast.Match):
                break
            if not isinstance(above, HEADS):
                continue
            if len(_text(above)) > SHOWN and shown is not node:
                break
            shown = above
        return shown


def _text(node: ast.AST) -> str:
    """Return a node as source in one line; of a compound statement only its head."""
    if isinstance(node, ast.Match):
        return f"match {ast.unparse(node.subject)}:"
    if isinstance(node, ast.Try):
        return "try:"
    if isinstance(node, ast.Slice):
        return ast.unparse(ast.Subscript(ast.Name("_", ast.Load()), node, ast.Load()))
    fields = {name: getattr(node, name) for name in node._fields}
    if isinstance(fields.get("body"), list):
        fields["body"] = [ast.Expr(ast.Constant(...))]
        for name in ("orelse", "decorator_list"):
            if name in fields:
                fields[name] = []
    new = type(node)(**fields)
    ast.copy_location(new, node)
    text = ast.unparse(new)
    return " ".join(text.removesuffix("...").split())


def _differing(before: str, after: str) -> tuple[str, str]:
    """Cut what two long texts have in common at both ends, but for a few words."""
    if len(before) <= LONG:
        return before, after
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    first, last = max(0, start - CONTEXT), max(0, end - CONTEXT)
    return tuple(
        ("…" if first else "") + text[first : len(text) - last] + ("…" if last else "")
        for text in (before, after)
    )


def _common(one: str, other: str) -> int:
    """Return the length of what both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _defined(statement: ast.AST) -> frozenset[str]:
    """Return the names that a statement of the module's top level binds."""
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
        return frozenset({statement.name})
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    names = [one for target in targets if target for one in ast.walk(target)]
    return frozenset(one.id for one in names if isinstance(one, ast.Name))
