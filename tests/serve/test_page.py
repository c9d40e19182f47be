"""Every command of the page "from zero to shadow mode" runs, one after the other, as somebody would type them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

for _name in ("onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(_name, reason="needs the extras export and serve")

PAGE = Path(__file__).parents[2] / "docs" / "shadow.md"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs bash and curl")
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 6
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # The page's port may be taken here.
    script = "set -e\ntrap 'kill $! 2> /dev/null || true' EXIT\n" + "echo\n".join(blocks).replace("8080", port)
    own = tmp_path / "bin" / "dgpg"
    own.parent.mkdir()
    own.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dgpg "$@"\n')
    own.chmod(0o755)
    path = f"{own.parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["timeout", "500", "bash", "-c", script], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"NO_COLOR": "1", "PATH": path},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    answers = [json.loads(line) for line in re.findall(r'\{"action".*?\}', ran.stdout)]
    assert [one["by"] for one in answers[:2]] == ["rule", "rule"] and len(answers) == 3
    assert answers[0]["export"] != answers[1]["export"] == answers[2]["export"]
    assert 'dgpg_decisions_total{by="rule"} 1.0' in ran.stdout and '"event": "shadow"' in ran.stdout
