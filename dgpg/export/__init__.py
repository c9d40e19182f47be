"""A trained policy as a file that opens without dgpg and without torch.

`graph` is the function of one agent that is written; `verify` holds it against torch; `write` puts it in a folder.
"""

from dgpg.export.write import Exported, export

__all__ = ["Exported", "export"]
