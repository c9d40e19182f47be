"""Public functions on tensors say what shapes these have. That each has a docstring at all is ruff's rule D1."""

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


def on_tensors(node: ast.FunctionDef) -> bool:
    told = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
    return any(a is not None and re.search(r"\bTensor\b", ast.unparse(a)) for a in told)


def test_functions_on_tensors_say_their_shapes() -> None:
    found: list[tuple[str, str, ast.FunctionDef, str]] = []
    protocols: set[str] = set()
    for path in sorted((ROOT / "dgpg").rglob("*.py")):
        if any(part in INNER for part in path.relative_to(ROOT / "dgpg").parts):
            continue
        tree = ast.parse(path.read_text())
        for owner, node, about in functions(tree.body):
            found.append((f"{path.name}:{node.lineno} {owner}.{node.name}", owner, node, about))
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
