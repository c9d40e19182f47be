"""Machine tables: the embedded EC2 types, the EC2 catalogue and the openb node list."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_cloud.data import EC2_DEFAULT, MachineTable, load_machines
from dgpg_cloud.data.ec2 import speed_of

from ..files import refused, write
from .test_openb import POD, PODS

NODES = "sn,cpu_milli,memory_mib,gpu,model\n"
EC2 = (
    "instance_type,family,category,generation,vcpu,memory_mib,clock_mhz,cpu_maker,arch,gpu_count,gpu_name,"
    "gpu_memory_mib,network_mbps,price_usd_per_hour\n"
)


def fails(path: Path, *parts: str) -> None:
    refused(load_machines, path, path.name, *parts)


def test_openb_nodes_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path, NODES + "a,32000,262144,0,\nb,96000,393216,8,G2\n\nc,8000,32768,2,T4\n")
    table = load_machines(path)
    assert table.name == ("a", "b", "c")
    assert table.vcpu_milli.tolist() == [32000, 96000, 8000]
    assert table.memory_mib.tolist() == [262144, 393216, 32768]
    assert table.gpu_milli.tolist() == [0, 8000, 2000]
    assert table.gpu_model == ("", "G2", "T4")
    assert table.speed.tolist() == [1.0, 1.0, 1.0]
    # 0.035 USD per vCPU, 0.0033 per GiB, 1 per G2, 0.35 per T4
    expected = [32 * 0.035 + 256 * 0.0033, 96 * 0.035 + 384 * 0.0033 + 8, 8 * 0.035 + 32 * 0.0033 + 0.7]
    np.testing.assert_allclose(table.price, expected)
    assert table.source == "table.csv"
    assert "estimated" in table.notes[0] and "G2: 1 USD/h" in table.notes[0]


def test_ec2_catalogue_by_hand(tmp_path: Path) -> None:
    rows = (
        "m7i.large,m7i,m,7,2,8192,3200,intel,amd64,0,,,781,0.1008\n"
        "t1.micro,t1,t,1,1,627,0,intel,amd64,0,,,70,0.02\n"
        "g6f.large,g6f,g,6,2,8192,3400,amd,amd64,0,l4,2861,1500,0.202\n"
        "g4dn.12xlarge,g4dn,g,4,48,196608,2500,intel,amd64,4,t4,16384,50000,3.912\n"
    )
    table = load_machines(write(tmp_path, EC2 + rows))
    assert table.name == ("m7i.large", "t1.micro", "g4dn.12xlarge")
    assert table.vcpu_milli.tolist() == [2000, 1000, 48000]
    assert table.memory_mib.tolist() == [8192, 627, 196608]
    assert table.gpu_milli.tolist() == [0, 0, 4000]
    assert table.gpu_model == ("", "", "t4")
    np.testing.assert_allclose(table.speed, [1, 1, np.sqrt(2500 / 3200)])
    assert table.price.tolist() == [0.1008, 0.02, 3.912]
    assert "1 type with unknown clock (0): speed 1" in table.notes
    assert "1 type with part of a GPU (gpu_count 0): skipped" in table.notes


def test_speed_is_one_at_the_reference_and_where_the_clock_is_unknown() -> None:
    np.testing.assert_allclose(speed_of([3200, 0, 12800]), [1, 1, 2])


def test_default_types_cover_what_the_docstring_says() -> None:
    vcpu, memory = EC2_DEFAULT.vcpu_milli / 1000, EC2_DEFAULT.memory_mib / 1024
    assert len(EC2_DEFAULT) == 12
    assert vcpu.mean() == 8 and vcpu.min() == 2 and vcpu.max() == 16
    assert set(memory / vcpu) == {2, 4, 8}
    assert EC2_DEFAULT.speed.min() >= 0.8 and EC2_DEFAULT.speed.max() <= 1.3


def test_take_by_number_and_by_mask() -> None:
    assert EC2_DEFAULT.take([3, 0, 3]).name == ("c8g.4xlarge", "c7g.2xlarge", "c8g.4xlarge")
    assert EC2_DEFAULT.take(EC2_DEFAULT.vcpu_milli == 2000).price.tolist() == [0.1008, 0.1323]
    assert len(EC2_DEFAULT.take([])) == 0


def test_tables_are_read_only_and_copy_their_columns() -> None:
    speed = np.ones(1)
    table = MachineTable(("a",), *np.ones((3, 1), int), ("",), speed, np.ones(1), "test")
    speed[0] = 2
    assert table.speed.tolist() == [1]
    with pytest.raises(ValueError, match="read-only"):
        EC2_DEFAULT.price[0] = 0


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="'price': 2"):
        MachineTable(("a",), *np.ones((3, 1), int), ("",), np.ones(1), np.ones(2), "test")


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("a,0,1024,0,", (":3: cpu_milli", "'0'", "from 1")),
        ("a,-5,1024,0,", (":3: cpu_milli", "'-5'")),
        ("a,1e13,1024,0,", (":3: cpu_milli", "'1e13'")),
        ("a,1000,-1,0,", (":3: memory_mib", "'-1'")),
        ("a,1000,nan,0,", (":3: memory_mib", "'nan'")),
        ("a,1000,inf,0,", (":3: memory_mib", "'inf'")),
        ("a,1000,lots,0,", (":3: memory_mib", "'lots'")),
        ("a,1000,,0,", (":3: memory_mib", "''")),
        ("a,1000,1024,1.5,T4", (":3: gpu", "'1.5'", "whole number")),
        ("a,1000,1024,1,", (":3: model", "''")),
        ("a,1000", (":3: expected 5 fields, got 2", "truncated")),
        ('a,1000,1024,0,"T', (":3: ", "not valid CSV")),
    ],
)
def test_a_wrong_node_is_named(tmp_path: Path, row: str, parts: tuple[str, ...]) -> None:
    fails(write(tmp_path, f"{NODES}ok,1000,1024,0,\n{row}"), *parts)


@pytest.mark.parametrize(("price", "field"), [("free", "'free'"), ("-1", "'-1'"), ("", "''")])
def test_a_wrong_price_is_named(tmp_path: Path, price: str, field: str) -> None:
    row = f"m7i.large,m7i,m,7,2,8192,3200,intel,amd64,0,,,781,{price}\n"
    fails(write(tmp_path, EC2 + row), ":2: price_usd_per_hour", field)


def test_prices_and_speeds_of_ones_own_are_used(tmp_path: Path) -> None:
    head = NODES.replace("\n", ",price,speed\n")
    table = load_machines(
        write(tmp_path, head + "a,32000,262144,0,,0,2\nb,8000,32768,2,T4,1.5,\nc,8000,32768,0,,,0.5\n")
    )
    np.testing.assert_allclose(table.price, [0, 1.5, 8 * 0.035 + 32 * 0.0033])
    assert table.speed.tolist() == [2, 1, 0.5]
    assert len(table.notes) == 1 and table.notes[0].startswith("1 blank price: estimated")
    priced = load_machines(write(tmp_path, NODES.replace("\n", ",price_usd_per_hour\n") + "a,32000,262144,0,,0.7\n"))
    assert priced.price.tolist() == [0.7] and priced.notes == ("the file has no speeds: every node has speed 1",)


def test_a_catalogue_takes_free_machines_and_speeds_of_ones_own(tmp_path: Path) -> None:
    head = EC2.replace("\n", ",speed\n")
    table = load_machines(write(tmp_path, head + "own,m7i,m,7,2,8192,2500,intel,amd64,0,,,781,0,1.25\n"))
    assert table.price.tolist() == [0] and table.speed.tolist() == [1.25] and table.notes == ()


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("96,393216,0,,1,1", (":3: cpu_milli: found '96'", "probably vCPU", "multiply by 1000")),
        ("96000,384,0,,1,1", ()),
        ("96000,128,0,,1,1", (":3: memory_mib: found '128'", "probably GiB")),
        ("4000,17179869184,0,,1,1", (":3: memory_mib", "probably KiB or bytes")),
        ("96000,393216,0,,1,2400", (":3: speed: found '2400'", "divide clocks")),
        ("96000,393216,0,,1,0", (":3: speed: found '0'",)),
        ("96000,393216,0,,1,1,9,9", (":3: expected 7 fields, got 9", "separator stands inside a value")),
    ],
)
def test_a_machine_that_cannot_be_is_told_with_its_likely_unit(
    tmp_path: Path, row: str, parts: tuple[str, ...]
) -> None:
    path = write(tmp_path, NODES.replace("\n", ",price,speed\n") + f"a,32000,262144,0,,1,1\nb,{row}\n")
    if parts:
        fails(path, *parts)
        assert load_machines(path, bad_rows="skip").name == ("a",)
    else:
        assert len(load_machines(path)) == 2


def test_a_node_named_twice_is_told(tmp_path: Path) -> None:
    fails(write(tmp_path, NODES + "a,32000,262144,0,\n" * 2), ":3: sn: found 'a'", "machines.bad_rows=skip")


def test_jobs_are_no_machines(tmp_path: Path) -> None:
    fails(write(tmp_path, PODS + POD, "pods.csv"), "found jobs", "workload.trace")


def test_further_wrong_rows_are_counted(tmp_path: Path) -> None:
    fails(write(tmp_path, NODES + "a,0,1,0,\n" * 13), ":2: ", "(and 12 more rows)")
    fails(write(tmp_path, NODES + "a,0,1,0,\n" * 2), ":2: ", "(and 1 more row)")


def test_an_unknown_format_is_named_with_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "host,cores\na,3\n")
    fails(path, ":1: ", "unknown format", "'host,cores'", "openb node list", "EC2 catalogue", "cpu_milli")


def test_a_file_that_cannot_be_a_table_is_named(tmp_path: Path) -> None:
    fails(tmp_path / "absent.csv", "no such file")
    fails(tmp_path, "is a directory")
    fails(write(tmp_path, ""), "empty")
    fails(write(tmp_path, " \n\n"), "empty")
    fails(write(tmp_path, NODES), "no rows")
    path = tmp_path / "image.csv"
    path.write_bytes(b"\x89PNG\r\n")
    fails(path, "not a text file")
    path.write_bytes("sn,cpu_milli".encode("utf-16-le"))
    fails(path, "not a text file")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (NODES + "a,1000,1024,0,\n").replace("\n", "\r\n").encode())
    assert load_machines(path).name == ("a",)


def test_real_openb_nodes(data_file: Callable[[str], Path]) -> None:
    table = load_machines(data_file("alibaba_gpu2023/openb_node_list_all_node.csv"))
    assert len(table) == 1523
    assert table.vcpu_milli.sum() == 125_514_000
    assert table.gpu_milli.sum() == 6_212_000
    assert table.memory_mib.sum() / 1024**2 == pytest.approx(583.7, abs=0.05)
    assert table.price.min() > 1 and table.price.max() < 40


def test_real_ec2_catalogue_has_the_embedded_types(data_file: Callable[[str], Path]) -> None:
    table = load_machines(data_file("ec2/ec2_catalogue_us-east-1_2026-07-20.csv"))
    assert len(table) == 1345 - 5  # five types with part of a GPU
    assert table.speed.min() > 0.75 and table.speed.max() <= 1.3
    same = table.take([table.name.index(name) for name in EC2_DEFAULT.name])
    for column in ("vcpu_milli", "memory_mib", "gpu_milli", "speed", "price"):
        np.testing.assert_array_equal(getattr(same, column), getattr(EC2_DEFAULT, column))
