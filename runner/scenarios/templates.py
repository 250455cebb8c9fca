"""Jinja2 as this project uses it: sandboxed, strict, deterministic, compiled once per template.

Blocks swallow their line (`trim_blocks`, `lstrip_blocks`) and a template's last newline is
dropped, so that a YAML block text renders as it reads. Nothing in a template can reach the clock,
randomness or files; `lipsum` and the `random` filter are gone. Only texts, numbers and booleans
print.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.core.identity import draw
from runner.scenarios.symbolic import SymbolicError, SymbolicText, symbolic_draw, symbolic_seed

MARKS = frozenset({"item", "end_items", "line", "clock"})
"""Functions that mark what perturbations vary (`perturbations.py`)."""
RESERVED = frozenset({"seed", "draw"}) | MARKS
"""Names that every template has; no variable, axis or fragment may take them."""


class TemplateProblem(Exception):  # noqa: N818 -- a finding to be collected, not an error to raise on
    """A template cannot be compiled or rendered.

    Attributes:
        what: the problem, and what to do about it.
        line: line inside the template, 1-based, where known.
        name: the undefined variable, where that is the problem.
    """

    def __init__(self, what: str, line: int | None = None, name: str | None = None) -> None:
        super().__init__(what, line, name)
        self.what = what
        self.line = line
        self.name = name

    def told(self, source: str) -> str:
        """Return the problem with its line, where the source has several."""
        what = self.what
        if self.name is not None:
            what = f"variable {self.name!r} is not defined in this condition"
        return f"{what}, line {self.line} of the text" if self.line and "\n" in source else what

    def line_in(self, source: str) -> int | None:
        """Return the line, from 0, where the source has several."""
        return self.line - 1 if self.line and "\n" in source else None


class _Unprintable(jinja2.TemplateError):
    pass


def _finalize(value: object) -> object:
    if isinstance(value, str | int | float | bool | SymbolicText | jinja2.Undefined):
        return value
    what = "nothing (null)" if value is None else f"a {type(value).__name__}"
    msg = f"prints {what}; only texts, numbers and booleans can be printed"
    raise _Unprintable(msg)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        finalize=_finalize,
    )
    for name in ("lipsum", "cycler", "joiner"):
        del environment.globals[name]
    del environment.filters["random"]
    return environment


_ENVIRONMENT = _environment()
_UNDEFINED = re.compile(r"'(\w+)' is undefined")


class Template:
    """One compiled template."""

    __slots__ = ("_blocks", "_root", "names", "source")

    def __init__(self, source: str) -> None:
        """Compile.

        Raises:
            TemplateProblem: the syntax is wrong, or another template is asked for.
        """
        self.source = source
        try:
            tree = _ENVIRONMENT.parse(source)
            compiled = _ENVIRONMENT.from_string(tree)
        except jinja2.TemplateSyntaxError as error:
            what = f"{(error.message or 'wrong syntax').rstrip('.')}. Check the braces"
            raise TemplateProblem(what, error.lineno) from None
        except jinja2.TemplateError as error:
            raise TemplateProblem(str(error)) from None
        _refuse_loading(tree)
        self._root = compiled.root_render_func
        self._blocks = compiled.blocks
        self.names: Mapping[str, int] = _undeclared(tree)
        """Variables that the template reads from outside, with the line of the first use."""

    def render(self, context: dict[str, object]) -> str:
        """Return the text.

        Args:
            context: every variable, those of `symbolic_names` or `seeded_names` among them. It is read in place:
                `jinja2.Template.render` copies it and walks the globals each time, which costs
                more than rendering a prompt.

        Raises:
            TemplateProblem: a variable is missing, or an expression cannot be evaluated.
        """
        try:
            return self._rendered(context)
        except jinja2.UndefinedError as error:
            named = _UNDEFINED.fullmatch(str(error))
            name = named[1] if named else None
            raise TemplateProblem(str(error), _line(error), name) from None
        except (jinja2.TemplateError, SymbolicError) as error:
            raise TemplateProblem(str(error), _line(error)) from None
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise TemplateProblem(what, _line(error)) from None
        except (RecursionError, MemoryError) as error:
            what = f"the template does not end ({type(error).__name__})"
            raise TemplateProblem(what) from None

    def _rendered(self, context: dict[str, object]) -> str:
        scope = _ENVIRONMENT.context_class(_ENVIRONMENT, context, None, self._blocks)
        try:
            return "".join(self._root(scope))
        except Exception:  # noqa: BLE001 -- raised again, with the template's lines in the trace
            _ENVIRONMENT.handle_exception()


@lru_cache(maxsize=2048)
def compiled(source: str) -> Template:
    """Return the template of a text, compiled once however many scenarios and books hold it.

    Raises:
        TemplateProblem: as `Template`.
    """
    return Template(source)


def undefined(why: str) -> jinja2.Undefined:
    """Return a value whose use in a template is a problem with this text."""
    return jinja2.StrictUndefined(hint=why)


def _line(error: BaseException) -> int | None:
    """Return the line of the template in which an exception rose; Jinja2 puts it in the trace."""
    line: int | None = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def symbolic_names() -> dict[str, object]:
    """Return what every template has, for the rendering that stands for all seeds."""
    return {**_ENVIRONMENT.globals, "seed": symbolic_seed(), "draw": symbolic_draw}


def seeded_names(seed: int) -> dict[str, object]:
    """Return what every template has, for one seed."""

    def draw_for_seed(choice: str, options: list[Any]) -> object:
        return draw(choice, seed, options)

    return {**_ENVIRONMENT.globals, "seed": seed, "draw": draw_for_seed}


def _refuse_loading(tree: nodes.Template) -> None:
    loading = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
    for node in tree.find_all(loading):
        what = "a template cannot load another one; put shared text into `fragments:`"
        raise TemplateProblem(what, node.lineno)


def _undeclared(tree: nodes.Template) -> dict[str, int]:
    """Return free names with their first line; names only asked for by `is defined` left out."""
    asked = {
        test.node.name
        for test in tree.find_all(nodes.Test)
        if test.name in {"defined", "undefined"} and isinstance(test.node, nodes.Name)
    }
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        lines.setdefault(node.name, node.lineno)
    free = meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals) - asked
    return {name: lines.get(name, 1) for name in sorted(free, key=lambda n: (lines.get(n, 1), n))}
