"""Puts a mutated module in place: in this process, and in those it starts."""

import contextlib
import gc
import marshal
import os
import subprocess
import sys
import types
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.mutation.hook import sitecustomize as hook

HOOK = str(Path(hook.__file__).parent)


class Impossible(Exception):
    """It cannot be done in a process that has imported the module."""


def hand_on() -> None:
    """Let processes that tests start import the same code, whatever else they inherit."""
    begin = subprocess.Popen.__init__

    def begun(self: Any, *arguments: Any, env: Any = None, **options: Any) -> None:
        if hook.CODES in os.environ:
            env = dict(os.environ if env is None else env)
            for name in (hook.CODES, hook.REACHED):
                if name in os.environ:
                    env[name] = os.environ[name]
            env["PYTHONPATH"] = f"{HOOK}:{env.get('PYTHONPATH', '')}".rstrip(":")
        begin(self, *arguments, env=env, **options)

    subprocess.Popen.__init__ = begun


def give(folder: Path, codes: dict[str, Any], reached: Path | None = None) -> None:
    """Say what processes that tests start shall import, and tell where they went."""
    path = folder / "codes"
    path.write_bytes(marshal.dumps(codes))
    os.environ[hook.CODES] = str(path)
    if reached:
        os.environ[hook.REACHED] = str(reached)


def live_functions(files: dict[str, Any]) -> dict[str, list[types.FunctionType]]:
    """Find every function of these files, however it is wrapped."""
    functions = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
        for one in gc.get_objects():
            if type(one) is types.FunctionType and one.__code__.co_filename in files:
                functions[one.__code__.co_filename].append(one)
    return functions


def swap(functions: list[types.FunctionType], code: Any, name: str) -> None:
    """Give the functions called `name`, and those inside it, their new code."""
    new = {(one.co_qualname, one.co_firstlineno): one for one in _codes(code)}
    inside = f"{name}.<locals>."
    for function in functions:
        old = function.__code__
        if old.co_qualname == name or old.co_qualname.startswith(inside):
            try:
                function.__code__ = new[old.co_qualname, old.co_firstlineno]
            except ValueError:  # it closes over other names
                raise Impossible from None


def _codes(code: Any) -> list[Any]:
    own = [one for one in code.co_consts if isinstance(one, types.CodeType)]
    return [code, *(below for one in own for below in _codes(one))]


def patch(file: str, code: Any, names: frozenset[str]) -> None:
    """Give top-level names of a module their new values, wherever they were imported."""
    modules = [one for one in list(sys.modules.values()) if _file_of(one) == file]
    if not modules:
        raise Impossible
    for module in modules:
        space = {name: vars(module)[name] for name in _DUNDER if hasattr(module, name)}
        exec(code, space)
        for name in names & vars(module).keys():
            _replace(name, vars(module)[name], space.get(name))


_DUNDER = ("__name__", "__package__", "__file__", "__spec__", "__builtins__")


def _file_of(module: Any) -> str:
    return os.path.realpath(getattr(module, "__file__", None) or "")


def _replace(name: str, old: Any, new: Any) -> None:
    for module in list(sys.modules.values()):
        with contextlib.suppress(TypeError):  # not all that is there has a __dict__
            if vars(module).get(name) is old:
                setattr(module, name, new)
