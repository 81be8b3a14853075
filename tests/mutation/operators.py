"""The edits: which ones there are, and what they make of one node of the syntax tree."""

import ast
import copy
from collections.abc import Iterator

SWAPPED = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
METHODS = {"filter": "exclude", "exclude": "filter"}
# A call of these, and all inside it, decides nothing.
SILENT = {"logger", "logging", "failpoint", "TypeVar", "cast"}
TEXT_ONLY = {"__repr__", "__str__"}
JUMPS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def edits(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in place of `node`, each time one thing other."""
    for name in (type(node).__name__, "Condition", "Statement"):
        operator = globals().get(f"_{name.lower()}")
        if operator:
            yield from operator(node, parent)


def is_silent(node: ast.AST) -> bool:
    """Whether nothing in it is worth an edit: a log call, an annotation's helper."""
    if isinstance(node, ast.Expr | ast.Assign | ast.Await):
        return is_silent(node.value)
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in SILENT


def changed(node: ast.AST, **fields: object) -> ast.AST:
    """Return a copy of a node, with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def without(items: list, index: int) -> list:
    return items[:index] + items[index + 1 :]


def _compare(node, parent):
    for index, operator in enumerate(node.ops):
        for other in SWAPPED[type(operator)]:
            yield changed(
                node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]]
            )


def _boolop(node, parent):
    yield changed(node, op=SWAPPED[type(node.op)][0]())
    for index, value in enumerate(node.values):
        if len(node.values) > 1:
            rest = without(node.values, index)
            yield rest[0] if len(rest) == 1 else changed(node, values=rest)
        if not isinstance(value, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Constant):
            negated = ast.UnaryOp(ast.Not(), value)
            yield changed(
                node, values=[*node.values[:index], negated, *node.values[index + 1 :]]
            )


def _unaryop(node, parent):
    if not isinstance(node.operand, ast.Constant) or isinstance(node.op, ast.Not):
        yield node.operand


def _binop(node, parent):
    for other in SWAPPED.get(type(node.op), ()):
        yield changed(node, op=other())


def _augassign(node, parent):
    yield from _binop(node, parent)
    yield ast.Assign([node.target], node.value)


def _constant(node, parent):
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
        if value == 1:
            yield ast.Constant(0)
    elif isinstance(value, str | bytes) and value:
        if _is_ordering(parent):
            yield ast.Constant(value[1:] if value.startswith("-") else f"-{value}")
        else:
            yield ast.Constant(value[:0])


def _is_ordering(parent):
    function = getattr(parent, "func", None)
    return isinstance(function, ast.Attribute) and function.attr == "order_by"


def _joinedstr(node, parent):
    yield ast.Constant("")


def _condition(node, parent):
    """`if`, `while`, `x if c else y` and the `if` of a comprehension."""
    is_test = node is getattr(parent, "test", None)
    if is_test or node in getattr(parent, "ifs", ()) or node is _guard(parent):
        if not isinstance(parent, ast.While):
            yield ast.Constant(True)
        yield ast.Constant(False)


def _guard(parent):
    return parent.guard if isinstance(parent, ast.match_case) else None


def _return(node, parent):
    if node.value and not _is_none(node.value):
        yield changed(node, value=ast.Constant(None))


def _is_none(node):
    return isinstance(node, ast.Constant) and node.value is None


def _statement(node, parent):
    """Drop what acts: a call, an assignment to an attribute, an early way out."""
    if not isinstance(node, ast.stmt):
        return
    is_call = isinstance(node, ast.Expr) and isinstance(
        node.value, ast.Call | ast.Await
    )
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    acts = isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and isinstance(
        targets[0], ast.Attribute | ast.Subscript
    )
    body = getattr(parent, "body", [])
    # Alone in its `if`, dropping it is the same as `if False`.
    is_way_out = isinstance(node, JUMPS) and (
        not isinstance(parent, ast.If) or body[0] is not node
    )
    if is_call or acts or (is_way_out and not _ends_function(node, parent)):
        yield ast.Pass()


def _ends_function(node, parent):
    is_function = isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef)
    return is_function and (node is parent.body[-1])


def _call(node, parent):
    for index, word in enumerate(node.keywords):
        if word.arg:
            yield changed(node, keywords=without(node.keywords, index))
    if isinstance(node.func, ast.Name) and node.func.id in NAMES:
        yield changed(node, func=ast.Name(NAMES[node.func.id], ast.Load()))
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield changed(node, func=changed(node.func, attr=METHODS[node.func.attr]))


def _slice(node, parent):
    for bound in ("lower", "upper"):
        if getattr(node, bound):
            yield changed(node, **{bound: None})


def _dict(node, parent):
    for index in range(len(node.keys)):
        yield changed(
            node, keys=without(node.keys, index), values=without(node.values, index)
        )


def _set(node, parent):
    for index in range(len(node.elts)):
        rest = without(node.elts, index)
        empty = ast.Call(ast.Name("set", ast.Load()), [], [])
        yield changed(node, elts=rest) if rest else empty


def _tuple(node, parent):
    is_list = isinstance(parent, ast.Compare | ast.ExceptHandler | ast.Call)
    is_table = isinstance(parent, ast.Assign) and len(node.elts) != 2
    if isinstance(node.ctx, ast.Load) and (is_list or is_table) and len(node.elts) > 1:
        for index in range(len(node.elts)):
            yield changed(node, elts=without(node.elts, index))


_list = _tuple


def _excepthandler(node, parent):
    if node.type and not isinstance(node.type, ast.Tuple):
        yield changed(node, type=ast.Tuple([], ast.Load()))
