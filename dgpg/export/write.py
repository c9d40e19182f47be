"""From a run to a folder: `policy.onnx` with its description inside, the same as `policy.json`, and a page about it."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dgpg.domain import Names, SupportsNames, SupportsPlain, numbered, random
from dgpg.errors import ConfigError, RunError
from dgpg.export.graph import Decide
from dgpg.export.page import TITLE, page
from dgpg.export.parts import NAMES, Made, Part, parts
from dgpg.export.verify import CASES, OF_CHOICES, Graph
from dgpg.runs import Trained, open_trained
from dgpg.runs.places import refuse_folder
from dgpg.runs.record import RunFolder
from dgpg.runs.versions import plugin_of, versions

Format = Literal["onnx", "pt2"]
OPSET = 20
NEEDED = ("onnx", "onnxscript", "onnxruntime")
ENVS = 16
"""Environments that decisions are recorded in."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    files: tuple[Path, ...]
    description: Mapping[str, Any]


def export(run: Path, out: Path, form: Format = "onnx", decisions: int = 10_000, seed: int = 0) -> Exported:
    """Write the policy of a run's newest checkpoint to a folder.

    Args:
        run: folder of the run.
        out: folder to write; it may exist if it holds an earlier export.
        form: `onnx`, or `pt2` for torch's own format beside it.
        decisions: least number that is compared with torch before anything is written.
        seed: of the episodes that decisions are recorded in.

    Raises:
        ConfigError: a package is missing, the folder holds other things, or the policy speaks in rounds.
        RunError: no run, or the written policy differs from torch.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"export needs {', '.join(missing)}: pip install 'dgpg[export]'")
    _refuse(out)
    refuse_folder(out, "--out")
    trained = open_trained(run, {})
    env = trained.domain.make_env(trained.config, ENVS, trained.device, random.derive(seed, "export"))
    made = parts(trained.team, env, -(-decisions // CASES), seed)
    programs = {name: _program(part) for name, part in made.parts.items()}
    models = {name: program.model_proto.SerializeToString() for name, program in programs.items()}
    described = description(trained, run, made, env.num_agents)
    described["compared"] = made.compared({name: _session(model) for name, model in models.items()}, seed).told()
    described["entries"] = {
        name: {**_shapes(made.parts[name]), "sha256": hashlib.sha256(model).hexdigest()}
        for name, model in models.items() if name != "policy"
    }  # fmt: skip
    text = json.dumps(described, indent=1, ensure_ascii=False, allow_nan=False)
    model = programs["policy"].model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "dgpg", text
    written = model.SerializeToString()
    beside = json.dumps({**described, "sha256": hashlib.sha256(written).hexdigest()}, indent=1, ensure_ascii=False)
    files = {f"{name}.onnx": model for name, model in models.items()}
    files |= {"policy.onnx": written, "policy.json": beside.encode(), "README.md": page(described).encode()}
    return Exported(_written(out, files, programs["policy"] if form == "pt2" else None), described)


def description(trained: Trained, run: Path, made: Made, agents: int) -> dict[str, Any]:
    """What a reader who has the folder alone should know."""
    graph, rows = made.graph, made.rows
    names, (_, config) = names_of(trained, rows, graph), RunFolder.open(run)
    inputs = {name: _seen(getattr(names, name), rows[name]) for name in ("agent", "choices") if name in rows}
    bounds: dict[str, Any] = {}
    if isinstance(graph, Decide) and graph.kind == "numbers":
        bounds = {"low": graph.low.tolist(), "high": graph.high.tolist()}
    settings = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return {
        "format": 1,
        "domain": trained.run.domain,
        "plugin": plugin_of(run),
        "versions": versions(),
        "algorithm": trained.run.algorithm,
        "iteration": trained.iteration,
        "configuration": hashlib.sha256(settings.encode()).hexdigest(),
        "agents": agents,
        "fixed_agents": "index" in rows,
        "own_networks": graph.own,
        "inputs": inputs,
        "action": {"kind": graph.kind, "names": [vars(one) for one in names.action], **bounds},
        "chance": graph.chance,
        **_shapes(made.parts["policy"]),
        "rounds": made.rounds,
        **({"plain": trained.domain.plain(trained.config)} if isinstance(trained.domain, SupportsPlain) else {}),
    }


def names_of(trained: Trained, rows: Mapping[str, Tensor], graph: Graph) -> Names:
    """The domain's names, or numbers where it gives none, for rows `[R, ...]` of each input."""
    given = trained.domain.names(trained.config) if isinstance(trained.domain, SupportsNames) else Names(())
    width = {name: rows[name].shape[-1] if name in rows else 0 for name in ("agent", "choices")}
    numbers = graph.low.shape[1] if isinstance(graph, Decide) and graph.kind == "numbers" else 1
    return Names(
        given.agent or numbered("agent", width["agent"]),
        given.choices or numbered("choice", width["choices"]),
        given.action or numbered(graph.kind, numbers),
    )


def _seen(features: Any, rows: Tensor) -> list[dict[str, Any]]:
    """Each feature with the range that was recorded."""
    flat = rows.flatten(0, -2)
    ends = zip(features, flat.min(0).values.tolist(), flat.max(0).values.tolist(), strict=True)
    return [{**vars(one), "low": low, "high": high} for one, low, high in ends]


def _shapes(part: Part) -> dict[str, Any]:
    """Inputs with type and shape, R rows and K choices where a policy serves any number of them, and outputs."""
    found = {}
    for name, x in part.sample.items():
        free = {at: size for at, size in ((0, "R"), (1, "K")) if at in _free(part, name)}
        sizes = [free.get(at, size) for at, size in enumerate(x.shape)]
        found[name] = [str(x.dtype).removeprefix("torch."), *sizes]
    return {"arrays": found, "outputs": list(part.graph.outputs())}


def _free(part: Part, name: str) -> tuple[int, ...]:
    """Dimensions of an input that are any number."""
    return (*(() if part.fixed else (0,)), *((1,) if part.chooses and name in OF_CHOICES else ()))


def _program(part: Part) -> Any:
    """Traced with any number of rows, and of choices where the network scores each by itself."""
    sizes = (torch.export.Dim("rows", min=1, max=2**30), torch.export.Dim("choices", min=2, max=2**20))
    shapes = {name: {at: sizes[at] for at in _free(part, name)} for name in part.sample}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own of names that two axes share
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            ByName(part.graph), (), kwargs={"rows": part.sample}, dynamo=True, dynamic_shapes={"rows": shapes},
            input_names=list(part.sample), output_names=list(part.graph.outputs()), opset_version=OPSET, verbose=False,
        )  # fmt: skip
    if program is None:
        raise RunError("torch could not trace the policy; please report it, with `dgpg --version`")
    return program


class ByName(nn.Module):
    """A graph whose inputs are one mapping, so that there may be any."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.named = graph  # torch has a `graph` of its own

    def forward(self, rows: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """As the graph, `[R, ...]`."""
        return self.named(**rows)  # type: ignore[no-any-return]


def _session(model: bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


OWN = (*(f"{name}.onnx" for name in NAMES), "policy.json", "policy.pt2", "README.md")
"""What an export writes, and a later one may replace."""


def _refuse(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: a file of that name exists; name a folder")
    there = [path.name for path in out.iterdir()] if out.is_dir() else []
    strange = [name for name in there if name.removeprefix(".").removesuffix(".partial") not in OWN]
    page_there = out / "README.md"
    if strange or (page_there.is_file() and not page_there.read_text(errors="replace").startswith(TITLE)):
        name = strange[0] if strange else "a README.md of its own"
        raise ConfigError(f"--out {out}: it holds other things than an export ({name}); name a new or empty folder")


def _written(out: Path, files: Mapping[str, bytes], program: Any) -> tuple[Path, ...]:
    """Each file whole or not at all, the policy last: who watches for it finds the rest."""
    files = dict(files)
    if program is not None:
        held = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(program.exported_program, held)
        files["policy.pt2"] = held.getvalue()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in sorted(files, key=lambda one: one == "policy.onnx"):
            partial = out / f".{name}.partial"
            partial.write_bytes(files[name])
            partial.replace(out / name)
        for name in set(OWN) - set(files):  # of an earlier export, of another policy
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}") from None
    return tuple(sorted(out / name for name in files))
