"""Lines of code of the tutorial's plugin, and of what the required members of each shipped domain need.

python docs/scripts/lines.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OPTIONAL = {"baselines", "figures", "judge", "replay", "calibration", "fit"}
"""Modules that only optional members need."""


def lines_of_code(source: str) -> int:
    """Lines that are neither blank nor part of a docstring nor a comment alone."""
    told = set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            told |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in told for n, line in lines)


def tutorial() -> dict[str, str]:
    """Files of the page, by name."""
    page = (ROOT / "docs" / "first-plugin.md").read_text()
    return dict(re.findall(r'^```(?:python|toml) title="(.+)"\n((?:.*\n)*?)```$', page, re.MULTILINE))


def needed(package: Path) -> set[Path]:
    """Modules of a plugin that its domain object imports, directly or not, without optional ones."""
    found, todo = set[Path](), [package / "domain.py"]
    while todo:
        path = todo.pop()
        if path in found or not path.exists() or OPTIONAL & {path.stem, path.parent.name}:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(package.name)):
                base = path.parent if node.level else package.parent
                module = base / (node.module or "").replace(".", "/")
                names = [alias.name for alias in node.names]
                todo += [module.with_suffix(".py"), module / "__init__.py"]
                todo += [module / f"{name}.py" for name in names]
    return found


def main() -> None:
    """Print the counts."""
    code = [text for name, text in tutorial().items() if name.endswith(".py")]
    print(f"tutorial: {sum(map(lines_of_code, code))} in {len(code)} files")
    for package in sorted(ROOT.glob("plugins/*/dgpg_*")):
        paths = needed(package)
        system = [path for path in paths if path.parent.name != "data"]
        count = sum(lines_of_code(path.read_text()) for path in system)
        print(f"{package.name}: {count} in {len(system)} files, readers of data not counted")


if __name__ == "__main__":
    main()
