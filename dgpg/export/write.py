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
from torch import Tensor

from dgpg.domain import Names, SupportsNames, SupportsPlain, numbered, random
from dgpg.errors import ConfigError, RunError
from dgpg.export.graph import Decide
from dgpg.export.page import TITLE, page
from dgpg.export.verify import CASES, recorded, verify
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
    graph = Decide(trained.team)
    env = trained.domain.make_env(trained.config, ENVS, trained.device, random.derive(seed, "export"))
    rows = recorded(graph, trained.team, env, -(-decisions // CASES), seed)
    program = _program(graph, {name: x[:2] for name, x in rows.items()})
    described = description(trained, run, graph, rows, env.num_agents)
    model = program.model_proto
    described["compared"] = verify(graph, _session(model.SerializeToString()), rows, seed)
    text = json.dumps(described, indent=1, ensure_ascii=False, allow_nan=False)
    entry = model.metadata_props.add()
    entry.key, entry.value = "dgpg", text
    written = model.SerializeToString()
    beside = json.dumps({**described, "sha256": hashlib.sha256(written).hexdigest()}, indent=1, ensure_ascii=False)
    files = {"policy.onnx": written, "policy.json": beside.encode(), "README.md": page(described).encode()}
    return Exported(_written(out, files, program if form == "pt2" else None), described)


def description(trained: Trained, run: Path, graph: Decide, rows: Mapping[str, Tensor], agents: int) -> dict[str, Any]:
    """What a reader who has the folder alone should know; `rows` are `[R, ...]` of each input."""
    names, (_, config) = names_of(trained, rows, graph), RunFolder.open(run)
    inputs = {name: _seen(getattr(names, name), rows[name]) for name in ("agent", "choices") if name in rows}
    bounds = {"low": graph.low.tolist(), "high": graph.high.tolist()} if graph.kind == "numbers" else {}
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
        "arrays": {name: [str(x.dtype).removeprefix("torch."), *_shape(graph, name, x)] for name, x in rows.items()},
        "outputs": list(graph.outputs()),
        **({"plain": trained.domain.plain(trained.config)} if isinstance(trained.domain, SupportsPlain) else {}),
    }


def names_of(trained: Trained, rows: Mapping[str, Tensor], graph: Decide) -> Names:
    """The domain's names, or numbers where it gives none, for rows `[R, ...]` of each input."""
    given = trained.domain.names(trained.config) if isinstance(trained.domain, SupportsNames) else Names(())
    width = {name: rows[name].shape[-1] if name in rows else 0 for name in ("agent", "choices")}
    numbers = graph.low.shape[1] if graph.kind == "numbers" else 1
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


def _shape(graph: Decide, name: str, x: Tensor) -> list[str | int]:
    """R rows; K choices where a policy serves any number of them."""
    choices = {"choices": 1, "mask": 1}.get(name) if graph.kind == "choice" else None
    return ["R", *("K" if at == choices else size for at, size in enumerate(x.shape) if at)]


def _program(graph: Decide, rows: Mapping[str, Tensor]) -> Any:
    """Traced with any number of rows, and of choices where the network scores each by itself."""
    many = torch.export.Dim("rows", min=1, max=2**30)
    any_number = torch.export.Dim("choices", min=2, max=2**20)
    free = {"choices": {1: any_number}, "mask": {1: any_number}} if graph.kind == "choice" else {}
    shapes = {name: {0: many, **free.get(name, {})} for name in rows}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own of names that two axes share
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph, (), kwargs=dict(rows), dynamo=True, dynamic_shapes=shapes, input_names=list(rows),
            output_names=list(graph.outputs()), opset_version=OPSET, verbose=False,
        )  # fmt: skip
    if program is None:
        raise RunError("torch could not trace the policy; please report it, with `dgpg --version`")
    return program


def _session(model: bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


OWN = ("policy.onnx", "policy.json", "policy.pt2", "README.md")
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
