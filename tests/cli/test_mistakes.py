"""One clear message for a mistake, and no run."""

from pathlib import Path

import pytest
import torch

from ..commands import TINY, metrics, ok, refused

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ([], ["which domain? Installed: cloud"]),
        (["clod"], ["unknown domain 'clod': did you mean 'cloud'?"]),
        (["cloud", "--algorithm", "mapo"], ["unknown algorithm 'mapo': did you mean 'mappo'?", "ippo-local"]),
        (["cloud", "--model", "fluied"], ["'cloud.fluied'", "did you mean 'cloud.fluid'?"]),
        (
            ["cloud", "--model", "power.dcopf"],
            ["--model power.dcopf is for another domain", "cloud.capacity"],
        ),
        (["cloud", "--set", "num_agent=4"], ["unknown setting 'num_agent': did you mean 'num_agents'?"]),
        (["cloud", "--set", "workload.lod=1"], ["unknown setting 'workload.lod': did you mean 'load'?"]),
        (["cloud", "--set", "train.clp=1"], ["unknown setting 'train.clp': did you mean 'clip'?"]),
        (["cloud", "--set", "train.estimator=al_action"], ["train.estimator", "did you mean 'all_action'?"]),
        (["cloud", "--set", "preset=wating"], ["preset = 'wating'", "'waiting'"]),
        (["cloud", "--set", "iterations=3"], ["--set iterations", "--iterations"]),
        (["cloud", "--set", "alpha.start=1"], ["--set alpha...", "--set train.alpha"]),
        (["cloud", "--set", "rounds=3"], ["--set rounds...", "--set coordination.rounds"]),
        (["cloud", "--algorithm", "MAPPO"], ["unknown algorithm 'MAPPO': did you mean 'mappo'?"]),
        (["cloud", "--algorithm", ""], ["algorithm = '': nothing is given; give a value"]),
        (["cloud", "--model", ".fluied"], ["unknown analytical model", "did you mean 'cloud.fluid'?"]),
        (["cloud", "--set", "num_agents"], ["--set num_agents: expected path.to.field=value"]),
        (["cloud", "--set", "num_agents=-1"], ["num_agents = -1", "greater than or equal to 1"]),
        (["cloud", "--set", "num_agents=four"], ["num_agents = 'four'", "integer"]),
        (["cloud", "--set", "num_agents=" + "9" * 5000], ["num_agents"]),
        (["cloud", "--set", "workload.load=1.5"], ["workload.load = 1.5", "less than 1"]),
        (["cloud", "--set", "workload.load=NaN"], ["workload.load = nan", "finite"]),
        (["cloud", "--set", "workload=5"], ["workload = 5"]),
        (["cloud", "--set", "train=5"], ["train = 5"]),
        (["cloud", "--set", "train="], ["train = ''"]),
        (["cloud", "--set", "train.clip=0"], ["train.clip = 0", "greater than 0"]),
        (["cloud", "--iterations", "0"], ["iterations = 0", "greater than or equal to 1"]),
        (["cloud", "--num-envs", "0"], ["num_envs = 0", "greater than or equal to 1"]),
        (["cloud", "--seed", "-1"], ["seed = -1"]),
        (["cloud", "--seed", str(2**60)], ["seed = "]),
        (["cloud", "--stop-after", "0"], ["--stop-after"]),
        (["cloud", "--iterations", "three"], ["--iterations", "integer"]),
        (["cloud", "--device", "tpu"], ["--device tpu: expected auto, cpu or cuda"]),
        (["cloud", "--itertions", "3"], ["--itertions", "--iterations"]),
        (["cloud", "extra"], ["extra"]),
        (["cloud", "--resume"], ["--resume needs --out RUN"]),
        (["--resume", "--out", "nowhere"], ["nowhere: no such run folder"]),
        (["cloud", "--config", "nowhere.json"], ["--config nowhere.json: cannot be read"]),
        (["cloud", "--set", "workload.trace=nowhere.swf"], ["nowhere.swf: no such file"]),
        (["cloud", "--set", "machines.file=nowhere.csv"], ["nowhere.csv: no such file"]),
    ],
)
def test_a_mistake_gets_one_message_and_makes_no_run(args: list[str], parts: list[str]) -> None:
    message = refused("train", *args)
    for part in parts:
        assert part in message
    assert list(Path().iterdir()) == []


def test_cuda_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused("train", "cloud", *TINY, "--device", "cuda", "--out", "r")
    assert "--device cuda: this torch sees no GPU; use --device cpu or auto" in message
    assert not Path("r").exists()
    ok("train", "cloud", *TINY, "--device", "auto", "--iterations", 1, "--out", "r")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.json", "{", ["not valid .json"]),
        ("a.toml", "= 3", ["not valid .toml"]),
        ("a.json", "[1]", ["expected a table"]),
        ("a.json", '{"iteration": 3}', ["unknown field 'iteration': did you mean 'iterations'?"]),
        ("a.json", '{"num_envs": "many"}', ["num_envs = 'many'"]),
        ("a.json", '{"num_machines": 5}', ["unknown field 'num_machines'", "stand in the table 'settings'"]),
        ("a.json", '{"settings": {"workload": 5}}', ["workload = 5: expected a table of settings, such as workload."]),
        ("a.json", '{"settings": 5}', ["settings = 5"]),
        ("a.json", '{"train": [1]}', ["train = [1]"]),
        ("a.json", '{"model": 5}', ["model = 5"]),
        ("a.json", '{"algorithm": 5}', ["algorithm = 5"]),
        ("a.json", '{"domain": 5}', ["domain = 5"]),
        ("a.json", '{"domain": "cloud", "device": ["cuda"]}', ["['cuda']", "expected auto, cpu or cuda"]),
        ("a.json", '{"domain": "cloud", "settings": {"num_agent": 3}}', ["did you mean 'num_agents'?"]),
        (
            "a.toml",
            'domain = "cloud"\n[train.alpha]\nstrat = 1',
            ["'train.alpha.strat'", "did you mean 'start'?"],
        ),
    ],
)
def test_a_configuration_file_with_a_mistake(name: str, content: str, parts: list[str]) -> None:
    Path(name).write_text(content)
    domain = [] if "domain" in content else ["cloud"]
    message = refused("train", *domain, "--config", name, "--out", "r")
    for part in parts:
        assert part in message
    assert not Path("r").exists()


def test_a_file_may_begin_with_a_mark() -> None:
    for name, content in (("a.json", '{"iterations": 0}'), ("a.toml", "iterations = 0")):
        Path(name).write_text(content, encoding="utf-8-sig")
        assert "iterations = 0" in refused("train", "cloud", "--config", name)


def test_a_run_is_never_overwritten(shared: Path) -> None:
    before = {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()}
    assert "exists: add --resume" in refused("train", "cloud", *TINY, "--seed", 3, "--out", shared)
    assert {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()} == before


def test_a_place_that_cannot_be_written() -> None:
    Path("file").write_text("mine")
    assert "cannot write file/r: Not a directory" in refused("train", "cloud", *TINY, "--out", "file/r")
    assert "file exists: choose another --out" in refused("train", "cloud", *TINY, "--out", "file")
    assert Path("file").read_text() == "mine"


SWF = "{job} {submit} 5 {run} {processors} -1 -1 {processors} 100 -1 1 1 1 -1 -1 -1 -1 -1\n"


def log(**third: object) -> str:
    jobs = [{"job": i, "submit": 10 * i, "run": 60, "processors": 2} for i in range(1, 6)]
    jobs[2].update(third)  # type: ignore[arg-type]
    return "; a log\n" + "".join(SWF.format(**job) for job in jobs)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["empty"]),
        ("; a log\n", ["no rows"]),
        (log()[:-20], [":6: expected 18 fields"]),
        (log(run="nan"), [":4:", "'nan'"]),
        (log(run=-60), [":4:", "'-60'"]),
        (log(processors=0), [":4:", "'0'"]),
        (log(submit="inf"), [":4:", "'inf'"]),
        (log(processors=100_000), ["1 of 5 jobs", "line 4", "100000 vCPU"]),
    ],
)
def test_a_trace_with_a_mistake_names_file_and_line(content: str, parts: list[str]) -> None:
    Path("log.swf").write_text(content)
    message = refused("train", "cloud", *TINY, "--set", "workload.trace=log.swf", "--out", "r")
    for part in ("log.swf", *parts):
        assert part in message
    assert not Path("r").exists()


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("a,nan,1024,0,", [":3:", "'nan'"]),
        ("a,0,1024,0,", [":3:", "'0'"]),
        ("a,1000,-5,0,", [":3:", "'-5'"]),
        ("a,1000", [":3:"]),
    ],
)
def test_a_machine_table_with_a_mistake_names_file_and_line(row: str, parts: list[str]) -> None:
    Path("nodes.csv").write_text(f"sn,cpu_milli,memory_mib,gpu,model\nb,64000,262144,0,\n{row}\n")
    message = refused("train", "cloud", *TINY, "--set", "machines.file=nodes.csv", "--out", "r")
    for part in ("nodes.csv", *parts):
        assert part in message


def test_a_trace_of_ones_own_trains_and_goes_on() -> None:
    Path("log.swf").write_text(log())
    ok(
        "train",
        "cloud",
        *TINY,
        "--set",
        "workload.trace=log.swf",
        "--set",
        "workload.load=0.2",
        "--stop-after",
        1,
        "--out",
        "r",
    )
    ok("train", "--resume", "--out", "r")
    assert len(metrics(Path("r"))) == 3


@pytest.mark.parametrize("setting", ["machines.file", "workload.trace"])
def test_the_home_of_nobody_is_a_file_that_is_not_there(setting: str) -> None:
    message = refused("train", "cloud", "--set", f"{setting}=~no-such-user/table.csv")
    assert "~no-such-user/table.csv: no such file" in message


def test_a_record_that_was_changed_is_named_where_it_is_wrong() -> None:
    ok("train", "cloud", *TINY, "--iterations", 1, "--out", "r")
    record = Path("r/config.json")
    text = record.read_text()
    record.write_text(text.replace("num_machines", "num_machine"))
    message = refused("train", "--resume", "--out", "r")
    assert "unknown setting 'r/config.json: settings.num_machine'" in message
    record.write_text(text[: len(text) // 2])
    message = refused("evaluate", "r")
    assert "r/config.json cannot be read: " in message and "put back what the training wrote there" in message
    record.unlink()
    record.mkdir()
    message = refused("evaluate", "r")
    assert "r/config.json cannot be read: Is a directory; put back" in message and "Errno" not in message


def test_a_folder_in_place_of_a_file_is_no_error_number() -> None:
    Path("a.json").mkdir()
    message = refused("train", "cloud", "--config", "a.json")
    assert "--config a.json: cannot be read (Is a directory); name a file of settings" in message
    ok("train", "cloud", *TINY, "--iterations", 1, "--out", "r")
    Path("r/metrics.jsonl").unlink()
    Path("r/metrics.jsonl").mkdir()
    assert "error: r/metrics.jsonl: Is a directory" in refused("train", "--resume", "--out", "r", "--iterations", 1)
