"""A fresh virtual environment that installs dgpg's distributions from wheels, and has everybody else's at hand."""

import json
import os
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


@dataclass(frozen=True)
class Fresh:
    """An environment whose site-packages hold what was installed from wheels, in front of other people's packages."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Fresh":
        """Nothing is downloaded: packages that are not dgpg's are those of the environment that runs the tests."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        others = folder / "others"
        others.mkdir()
        for place in map(Path, site.getsitepackages()):
            for item in place.iterdir():
                if not item.name.startswith(("dgpg", "__editable__", "_dgpg", "distutils-precedence")):
                    (others / item.name).symlink_to(item)
        fresh = cls(folder)
        purelib = fresh.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        (Path(purelib) / "others.pth").write_text(f"{others}\n")
        return fresh

    def run(self, program: str, *args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """A program of the environment, in its folder, on one thread."""
        command = [str(self.folder / "venv" / "bin" / program), *map(str, args)]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env=clean | {"OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def pip(self, *args: object) -> None:
        """pip of the running environment, at work in this one; looks into no index."""
        venv = self.folder / "venv" / "bin" / "python"
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", venv, *args]
        subprocess.run(list(map(str, command)), check=True, cwd=self.folder)

    def domains(self) -> dict[str, str]:
        """Status of each installed domain, and of each model."""
        return {
            one["name"]: one["status"] for one in json.loads(self.run("dgpg", "domains", "--json").stdout)["plugins"]
        }


def wheels(folder: Path, *sources: Path) -> Path:
    """A wheel of each source tree."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder]
    subprocess.run(list(map(str, [*build, *sources])), check=True)
    return folder
