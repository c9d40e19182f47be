"""What pods ask for, by hand and against the phases that a pod goes through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("kubernetes", reason="the extra `kubernetes` is not installed")

from dgpg_cloud.kubernetes.amounts import GPUS, allocatable, amounts, asked, whole

from .objects import container, node, pod

GIB = 2**30


@pytest.mark.parametrize(
    ("quantity", "scale", "expected"),
    [
        ("2", 1000, 2000),
        ("0.5", 1000, 500),
        ("250m", 1000, 250),
        ("1500u", 1000, 2),  # rounded up, as resource.Quantity.MilliValue does
        ("1n", 1000, 1),
        (2, 1000, 2000),
        ("1Ki", 1, 1024),
        ("1.5Gi", 1, 3 * 2**29),
        ("129M", 1, 129_000_000),
        ("129e6", 1, 129_000_000),
        ("1E", 1, 10**18),
        ("123456789", 1, 123_456_789),
        ("1000m", 1, 1),
        ("100m", 1, 1),
    ],
)
def test_quantities_are_whole_numbers(quantity: Any, scale: int, expected: int) -> None:
    assert whole(quantity, scale) == expected


def test_kinds_of_gpu_are_added_up_and_others_are_nothing() -> None:
    listed = {"nvidia.com/gpu": "2", "amd.com/gpu": "1", "ephemeral-storage": "10Gi", "cpu": "1"}
    assert amounts(listed, GPUS).tolist() == [1000, 0, 3000, 0]
    assert amounts({"example.com/milli-gpu": "250"}, {"example.com/milli-gpu": 1}).tolist() == [0, 0, 250, 0]
    assert amounts(None, GPUS).tolist() == [0, 0, 0, 0]


def test_a_node_has_what_is_allocatable() -> None:
    assert allocatable(node("a", "7910m", "31Gi"), GPUS).tolist() == [7910, 31 * GIB, 0, 110]


def test_containers_side_by_side_are_added_up_and_overhead_comes_on_top() -> None:
    given = pod(
        "p", spec={"containers": [container("a", "1", "1Gi"), container("b", "500m")], "overhead": {"cpu": "250m"}}
    )
    assert asked(given, GPUS).tolist() == [1750, GIB, 0, 1]


def test_an_init_container_counts_where_it_is_larger_resource_by_resource() -> None:
    given = pod(
        "p", spec={"containers": [container("a", "1", "1Gi")], "initContainers": [container("i", "500m", "4Gi")]}
    )
    assert asked(given, GPUS).tolist() == [1000, 4 * GIB, 0, 1]


def test_sidecars_run_beside_what_starts_after_them() -> None:
    """The first example of KEP-753: sidecars before an init container add to it, those after do not."""
    given = pod(
        "p",
        spec={
            "containers": [container("main", "1")],
            "initContainers": [
                container("first", "5"),
                container("sidecar", "2", restartPolicy="Always"),
                container("second", "4"),
                container("late", "1", restartPolicy="Always"),
            ],
        },
    )
    assert asked(given, GPUS)[0] == 6000  # 2 + 4 while `second` runs; 5; 1 + 2 + 1 afterwards


def test_what_a_pod_asks_for_as_a_whole_replaces_its_containers() -> None:
    given = pod("p", cpu="1", memory="1Gi", spec={"resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "1"}})
    assert asked(given, GPUS).tolist() == [4000, GIB, 0, 1]


def test_while_it_is_resized_the_largest_reading_counts() -> None:
    told = {"name": "main", "allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "3"}}}
    given = pod("p", cpu="1", memory="1Gi", status={"containerStatuses": [told]})
    assert asked(given, GPUS)[0] == 3000
    larger = pod("p", cpu="5", status={"containerStatuses": [told]})
    assert asked(larger, GPUS)[0] == 5000
    refused = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    assert asked(larger | {"status": {"containerStatuses": [told], "conditions": refused}}, GPUS)[0] == 3000


def test_a_pod_without_requests_asks_for_its_place() -> None:
    assert asked(pod("p", spec={"containers": [{"name": "main"}]}), GPUS).tolist() == [0, 0, 0, 1]
    assert asked({"metadata": {}, "spec": {"containers": [], "initContainers": None}}, GPUS).tolist() == [0, 0, 0, 1]


sizes = st.tuples(st.integers(0, 4000), st.integers(0, 8))
kinds = st.lists(st.tuples(st.sampled_from(["init", "sidecar"]), sizes), max_size=5)


@given(st.lists(sizes, min_size=1, max_size=4), kinds)
def test_it_is_the_most_that_any_phase_of_the_pod_needs(
    main: list[tuple[int, int]], first: list[tuple[str, tuple[int, int]]]
) -> None:
    phases, sidecars = [], [0, 0]
    for kind, size in first:
        phases.append([before + own for before, own in zip(sidecars, size, strict=True)])
        if kind == "sidecar":
            sidecars = phases[-1]
    phases.append([before + sum(size[r] for size in main) for r, before in enumerate(sidecars)])
    expected = [max(phase[r] for phase in phases) for r in range(2)]

    def made(name: str, size: tuple[int, int], **more: Any) -> Any:
        return container(name, f"{size[0]}m", f"{size[1]}Gi", **more)

    spec = {
        "containers": [made(f"m{n}", size) for n, size in enumerate(main)],
        "initContainers": [
            made(f"i{n}", size, **({"restartPolicy": "Always"} if kind == "sidecar" else {}))
            for n, (kind, size) in enumerate(first)
        ],
    }
    assert asked(pod("p", spec=spec), GPUS).tolist() == [expected[0], expected[1] * GIB, 0, 1]
