"""Public functions say shapes, errors and sources. That each has a docstring at all is ruff's rule D1.

Units are said where quantities enter: `dgpg check` wants a description of each setting, and shapes of tensors come
with their unit in the domains' context (`make_context`).
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHAPE = re.compile(r"`\[|\[`|any shape|number a row|of one shape|field by field")
INNER = ("checks", "testing", "templates", "tries.py", "alignment.py")
"""Not for users: `dgpg check` and its games document properties, not shapes."""


def functions(body: list[ast.stmt], owner: ast.ClassDef | None = None) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Public functions and methods with their class's docstring."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node.body, node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield (owner.name if owner else ""), node, (ast.get_docstring(owner) or "") if owner else ""


STEPS = ("advantage", "guidance", "losses", "update", "networks/normalise", "networks/sharing")
ROUNDS = ("rounds/coordination", "rounds/descent", "rounds/intents")
ACTIONS = ("actions/box", "actions/logits", "actions/distributions", "estimators/all_action", "estimators/choices")
ESTIMATORS = ("control_variate", "estimator", "exact", "first_order", "mirror", "pathwise", "potential_based")
MATHS = (
    *(f"learning/{name}" for name in (*STEPS, *ROUNDS, *ACTIONS, *(f"estimators/{one}" for one in ESTIMATORS))),
    *("domain/models", "domain/random", "measuring/alignment", "measuring/rules"),
    *("convex/adjoint", "convex/feasibility", "convex/interior_point", "convex/solver"),
)
SOURCE = re.compile(r"docs/(theory|coordination|adr/\d{4}-[a-z-]+)\b|[A-Z]\w+.*\b(19|20)\d\d\b")
PLUGINS = tuple(ROOT / f"plugins/{name}/dgpg_{name}" for name in ("cloud", "power", "traffic"))


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Those for users, parsed."""
    for path in sorted(root.rglob("*.py")):
        if not any(part in INNER for part in path.relative_to(root).parts):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def raised(node: ast.FunctionDef) -> set[str]:
    """Names of errors that leave a function by its own `raise`; `wrong` of `dgpg.files` is a DataError."""
    tries = [x for x in ast.walk(node) if isinstance(x, ast.Try) and x.handlers]
    caught = {id(x) for one in tries for part in one.body for x in ast.walk(part)}
    found = set()
    for x in ast.walk(node):
        if isinstance(x, ast.Raise) and x.exc is not None and id(x) not in caught:
            name = ast.unparse(x.exc.func if isinstance(x.exc, ast.Call) else x.exc)
            found.add({"wrong": "DataError"}.get(name, name))
    return {name for name in found if name.endswith("Error")}


def on_tensors(node: ast.FunctionDef) -> bool:
    told = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
    return any(a is not None and re.search(r"\bTensor\b", ast.unparse(a)) for a in told)


def test_functions_on_tensors_say_their_shapes() -> None:
    found: list[tuple[str, str, ast.FunctionDef, str]] = []
    protocols: set[str] = set()
    for path, tree in modules(ROOT / "dgpg"):
        for owner, node, about in functions(tree.body):
            found.append((f"{path}:{node.lineno} {owner}.{node.name}", owner, node, about))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
                protocols |= {
                    x.name
                    for x in node.body
                    if isinstance(x, ast.FunctionDef) and SHAPE.search(str(ast.get_docstring(x)))
                }
    assert len(found) > 250 and len(protocols) > 20
    silent = [
        name
        for name, _, node, about in found
        if on_tensors(node)
        and not SHAPE.search(ast.get_docstring(node) or "")
        and not SHAPE.search(about)
        and node.name not in protocols  # what a protocol says holds for those that fit it
    ]
    assert silent == []


def test_functions_say_the_errors_they_raise() -> None:
    found, silent = 0, []
    for root in (ROOT / "dgpg", *PLUGINS):
        for path, tree in modules(root):
            if path == "dgpg/cli/commands.py":
                continue  # its docstrings are the help of commands, where an error is a message
            for owner, node, _ in functions(tree.body):
                told = ast.get_docstring(node) or ""
                found += len(raised(node))
                silent += [f"{path}:{node.lineno} {owner}.{node.name} {x}" for x in raised(node) if x not in told]
    assert found > 50
    assert silent == []


def test_mathematics_names_its_source() -> None:
    silent = []
    for name in MATHS:
        tree = ast.parse((ROOT / f"dgpg/{name}.py").read_text())
        nodes = [tree, *(x for x in ast.walk(tree) if isinstance(x, ast.ClassDef | ast.FunctionDef))]
        if not any(SOURCE.search(ast.get_docstring(node) or "") for node in nodes):
            silent.append(name)
    assert silent == []
    pages = {
        m.group(1) for path in (ROOT / "dgpg").rglob("*.py") for m in SOURCE.finditer(path.read_text()) if m.group(1)
    }
    assert [page for page in sorted(pages) if not (ROOT / f"docs/{page}.md").exists()] == []
