"""Whatever happens to a file, it loads as a valid table or fails with a DataError that names it."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgpg.errors import DataError
from dgpg.testing import damaged
from dgpg_cloud.data import load_jobs, load_machines

FILES = {
    "nodes.csv": b"sn,cpu_milli,memory_mib,gpu,model\na,32000,262144,0,\nb,96000,393216,8,G2\n",
    "pods.csv": (
        b"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"
        b"scheduled_time\na,500,1,1,460,T4|P100,LS,Failed,0,9,1\nb,500,1,0,0,,BE,Pending,3,9,\n"
    ),
    "own.csv": b"id,submit,end,cpu,memory_gib,gpu,gpu_model,count\na,0,9,1,2,1,T4,2\nb,2026-01-01,,1,,,,\n",
    "sacct.txt": (
        b"JobID|Submit|Start|End|AllocCPUS|ReqMem|AllocTRES|NNodes\n"
        b"1|2026-01-01T00:00:00|2026-01-01T00:00:00|2026-01-01T00:01:00|4|8Gn|cpu=4,gres/gpu:a=1|2\n"
    ),
    "cluster.json": (
        b'{"items": [{"kind": "Pod", "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": '
        b'{"containers": [{"resources": {"requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}}}]}, '
        b'"status": {"phase": "Succeeded", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [{"state": '
        b'{"terminated": {"finishedAt": "2026-01-01T00:01:00Z"}}}]}}]}\n{"type": "ADDED", "object": {"kind": "Event", '
        b'"involvedObject": {"kind": "Pod", "name": "a"}, "reason": "Killing", "eventTime": "2026-01-01T00:02:00Z"}}'
    ),
    "log.swf": b"; log\n1 0 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1\n",
    "log.swf.gz": gzip.compress(b"1 0 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1\n"),
    "v1.dev.txt": b"3000 a,|,g,g,|\n3300 a,|\n",
    "v1.dev.c4000.txt": b"3000 U0,|,U1,C1,|\n3300 U1,|\n",
    "flav_map.txt": b"1,0.75 a\n2,3.5 g\n",
    "v1.interval_map.txt": b"0 0\n300 1\n",
}
SNIPPETS = [
    b"",
    b"-",
    b"0",
    b"9" * 20,
    b"nan",
    b"inf",
    b" ",
    b",",
    b"\n",
    b'"',
    b";",
    b"|",
    b"\x00",
    b"\xff",
    b"a",
]


@pytest.mark.parametrize("name", FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_loads_or_is_named(tmp_path: Path, name: str, data: st.DataObject) -> None:
    for other, intact in FILES.items():
        (tmp_path / other).write_bytes(intact)
    (tmp_path / name).write_bytes(data.draw(damaged(FILES[name], SNIPPETS)))
    try:
        if name == "nodes.csv":
            machines = load_machines(tmp_path / name)
            assert (machines.vcpu_milli > 0).all() and (machines.price > 0).all()
            return
        azure = name.startswith("v1") or name == "flav_map.txt"
        jobs = load_jobs(tmp_path / ("v1.dev.txt" if azure else name))
    except DataError as error:
        assert str(tmp_path) in str(error)
    else:
        assert len(jobs) > 0 and jobs.submit_s[0] == 0 and (np.diff(jobs.submit_s) >= 0).all()
        assert (jobs.duration_s > 0).all() and np.isfinite(jobs.duration_s).all()
        assert (jobs.vcpu_milli > 0).all() and (jobs.memory_mib >= 0).all() and (jobs.gpu_milli >= 0).all()
