"""Results on disk: found again by what they depend on, whole or not at all."""

import os
from pathlib import Path

import numpy as np
import pytest

from dgpg.files import cache
from dgpg.files.cache import folder, key, read, write

ARRAYS = {"cost": 2.5, "on": np.array([[True, False]]), "status": np.array("optimal")}


def same(found: dict[str, np.ndarray] | None) -> bool:
    return found is not None and all(np.array_equal(found[name], values) for name, values in ARRAYS.items())


def test_the_folder_lies_below_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder("grid") == tmp_path / "dgpg" / "grid" and not folder("grid").exists()
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert folder("grid") == Path.home() / ".cache" / "dgpg" / "grid"


def test_the_key_depends_on_all_there_is() -> None:
    a, b = np.arange(6), np.ones(2)
    known = [
        key("1", (a, b)),
        key("2", (a, b)),
        key("1", (b, a)),
        key("1", (a,)),
        key("1", (a + 1, b)),
        key("1", (a.reshape(2, 3), b)),
        key("1", (a.astype(np.int32), b)),
        key("1", (a.view(np.uint64), b)),
    ]
    assert len(set(known)) == len(known) and all(len(name) == 32 for name in known)
    assert key("1", (np.arange(12)[::2] // 2, b)) == known[0]  # in memory in another way


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npz"
    assert read(path, ARRAYS) is None
    write(path, ARRAYS)
    found = read(path, ARRAYS)
    assert same(found) and found is not None and list(found) == list(ARRAYS)
    assert found["on"].dtype == bool and found["cost"].shape == ()
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left
    assert read(path, ("cost", "gap")) is None


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    write(path, ARRAYS)

    def fails(file: object, **arrays: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", fails)
    write(path, {"cost": 3.0})
    assert same(read(path, ARRAYS)) and list(tmp_path.iterdir()) == [path]


def test_any_damage_is_no_result_or_none_that_matters(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write(path, ARRAYS)
    good, refused = path.read_bytes(), 0
    for at in range(len(good)):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]):
            path.write_bytes(bad)
            found = read(path, ARRAYS)
            assert found is None or same(found), at
            refused += found is None
    assert refused > len(good)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", cost=np.array([{}], dtype=object))
    assert read(tmp_path / "a.npz", ("cost",)) is None


def test_a_folder_that_cannot_be_made_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write(tmp_path / "file" / "a.npz", ARRAYS)
    assert os.listdir(tmp_path) == ["file"] and read(tmp_path / "file" / "a.npz", ARRAYS) is None


def test_a_file_in_the_place_of_another_is_no_result(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", ARRAYS)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    assert same(read(tmp_path / "a.npz", ARRAYS)) and read(tmp_path / "b.npz", ARRAYS) is None


def test_a_file_with_other_content_or_without_a_digest_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write(path, ARRAYS)
    with np.load(path) as held:
        digest = held["digest"]
    np.savez(path, **ARRAYS | {"cost": 2.25}, digest=digest)
    assert read(path, ARRAYS) is None
    np.savez(path, **ARRAYS)
    assert read(path, ARRAYS) is None
    np.savez(path, **{name: np.asarray(values) for name, values in ARRAYS.items()}, digest=digest)
    assert same(read(path, ARRAYS))


def test_what_unpacks_to_more_than_anything_written_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.npz", {"cost": np.zeros(10_000)})
    assert read(tmp_path / "a.npz", ("cost",)) is not None
    monkeypatch.setattr(cache, "MOST", 10_000)
    assert read(tmp_path / "a.npz", ("cost",)) is None
