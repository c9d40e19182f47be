"""`dgpg new`: plugins that work before any edit; `templates/` holds what is written."""

from dgpg.scaffold.writing import TEMPLATES, write

__all__ = ["TEMPLATES", "write"]
