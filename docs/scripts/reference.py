"""Write docs/reference from the docstrings: what each room hands on and what its modules hold, readable as it stands.

python docs/scripts/reference.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "reference"
PAGES = {
    "domain": "What a plugin author touches",
    "files": "For authors of loaders",
    "convex": "Convex programs",
    "learning": "The algorithm",
    "runs": "Runs",
    "measuring": "Measuring",
    "sweeps": "Sweeps",
    "checks": "Checks",
    "testing": "The kit for pytest",
    "showing": "Tables and figures",
    "scaffold": "New plugins",
    "export": "Export",
    "deploy": "Policies in use",
    "serve": "The service",
    "bridges": "Bridges",
}
"""A page a room, and its title."""
PLUGINS = (
    "cloud.models.potentials",
    "cloud.mapping",
    "power.models.potentials",
    "power.models.nodal",
    "power.mapping",
    "traffic.models.potentials",
    "traffic.mapping",
    "traffic.sumo.model",
    "traffic.sumo.mapping",
)
NOTE = "\n\nWritten by `python docs/scripts/reference.py` from the docstrings.\n"
OPTIONS = """    options:
      show_root_heading: false
      show_root_toc_entry: false
      heading_level: 3
"""


def first(docstring: str | None) -> str:
    """The first sentence or paragraph of a docstring, in one line of a table."""
    paragraph = " ".join((docstring or "").split("\n\n")[0].split())
    return paragraph.replace("|", "\\|")


def members(path: Path) -> Iterator[tuple[str, str]]:
    """Public functions, classes and documented constants of a module, each with what it says of itself."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, first(ast.get_docstring(node))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            told = after.value if isinstance(after, ast.Expr) else None
            if isinstance(target, ast.Name) and isinstance(told, ast.Constant) and not target.id.startswith("_"):
                yield target.id, first(str(told.value))


def module(path: Path, name: str) -> str:
    """One module: what it is for, its members as a table, and the details that the built site fills in."""
    about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    rows = "".join(f"| `{member}` | {told} |\n" for member, told in members(path))
    table = f"\n| | |\n|---|---|\n{rows}" if rows else ""
    return f"## {name}\n\n{about}\n{table}\n::: {name}\n{OPTIONS}"


def modules(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files of a room and of the rooms within it, with their dotted names."""
    for path in sorted(folder.rglob("*.py"), key=lambda file: (len(file.relative_to(folder).parts), file)):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if path.name != "__init__.py" and "templates" not in parts:
            yield path, ".".join(parts)


def room(name: str) -> str:
    """The page of a room."""
    door = ast.parse((ROOT / "dgpg" / name / "__init__.py").read_text(encoding="utf-8"))
    public = [
        ast.literal_eval(node.value)
        for node in door.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    handed = ", ".join(f"`{one}`" for names in public for one in names)
    about = f"{ast.get_docstring(door)}\n\nFrom `dgpg.{name}`: {handed}.\n"
    return "\n".join([f"# {PAGES[name]}{NOTE}", about, *(module(*one) for one in modules(ROOT / "dgpg" / name))])


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    found = {f"{name}.md": room(name) for name in PAGES}
    rest = [module(*one) for one in (*modules(ROOT / "dgpg" / "cli"), (ROOT / "dgpg" / "errors.py", "dgpg.errors"))]
    found["program.md"] = "\n".join([f"# Command line and errors{NOTE}", *rest])
    parts = []
    for name in PLUGINS:
        plugin, _, rest_of = name.partition(".")
        parts.append(
            module(ROOT / "plugins" / plugin / f"dgpg_{plugin}" / f"{rest_of.replace('.', '/')}.py", f"dgpg_{name}")
        )
    found["plugins.md"] = "\n".join([f"# Models of the plugins{NOTE}", *parts])
    return found


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
