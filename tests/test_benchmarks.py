"""The benchmark scripts run, each as small as it can be asked for, so that a moved name does not wait for a reader."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DGPG_DATA", ROOT.parent / "shared" / "data"))
needs_alibaba = pytest.mark.skipif(not (DATA / "cloud" / "alibaba_gpu2023").is_dir(), reason="needs Alibaba's files")
needs_pglib = pytest.mark.skipif(not (DATA / "power" / "pglib").is_dir(), reason="needs PGLib's files under DGPG_DATA")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("convex.py --cases 14 --batch 4 --repeats 1", marks=needs_pglib),
        pytest.param("decision.py --case case14_ieee__api --batch 2 --hours 2", marks=needs_pglib),
        "extender.py fast --calls 3 --pods 30",
        "extender.py right --seconds 5",
        pytest.param("extender.py same --most 20", marks=needs_alibaba),
        "learning.py --agents 4 --preset default --algorithms ippo dg-pg --marks 1 --instances 0 2 --seeds 1",
        "peers.py --agents 4 --contenders mappo sb3-ppo sb3-maskable-ppo --marks 1 --seeds 1",
        "power.py --networks case24-tight --marks 1 --seeds 1",
        "power_margin.py --networks case9 --margins none 0.02 --iterations 1 --set horizon=2",
        "power_size.py --network case9 --copies 2",
        "serve.py --rate 50 --seconds 2 --swapped 2",
        pytest.param(
            "simulators.py --parts --steps 40", marks=pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
        ),
        "throughput.py --agents 4 --algorithms dg-pg --repeats 1",
        "tune.py --agents 4 --algorithms dg-pg ippo-blocks --presets default --marks 1 --draws 2",
        "traffic.py --networks braess --static --marks 1 --seeds 1 --episodes 1",
        "traffic_routes.py --networks braess --batch 2",
    ],
)
def test_a_script_emits_records(command: str) -> None:
    script, *arguments = command.split()
    ran = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *arguments], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    records = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert records and all(records)
