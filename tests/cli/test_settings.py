"""A domain in one screen, its settings by a word, and what a shell completes, which imports no torch."""

import subprocess
import sys
from itertools import pairwise

from dgpg.cli.program import domains_like
from dgpg.domain import registry
from dgpg.showing.settings import settings_of

from ..commands import ok, refused


def test_a_domain_in_one_screen() -> None:
    shown = ok("domains", "cloud").out
    assert len(shown.splitlines()) <= 40 and "cloud.headroom (default)" in shown and "mirror-descent" in shown
    found = ok("domains", "cloud", "--json").json
    assert found["default_model"] in found["models"] and "waiting" in found["settings"]["weights"]
    assert "is not installed" in refused("domains", "clod") or "unknown" in refused("domains", "clod")


def test_settings_are_found_by_a_word_in_name_or_meaning() -> None:
    found = ok("settings", "cloud", "PRICE", "--json").json["settings"]
    assert [one["name"] for one in found] == ["weights.price"]
    shown = ok("settings", "cloud", "price").out
    assert "--set weights.price=" in shown and ">= 0" in shown and "USD" in shown
    names = [one["name"] for one in ok("settings", "traffic", "--json").json["settings"]]
    assert {"demand.scale", "train.actor_lr", "coordination.rounds"} <= set(names) and "trained" not in names
    assert "no setting of cloud has 'xyzzy'" in refused("settings", "cloud", "xyzzy")


def test_every_setting_says_what_it_means_and_has_a_default_that_is_taken() -> None:
    for name in ("cloud", "power", "traffic"):
        found = settings_of(registry.load_domain(name))
        assert len({one.name for one in found}) == len(found) > 20
        assert all(one.what and one.allowed for one in found), name


def test_help_and_completion_import_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['dgpg', '--help']\n"
        "from dgpg.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "from dgpg.cli.program import domains_like; assert 'cloud' in domains_like('c')\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'stevedore', 'scipy', 'plotly', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert domains_like("pow") == ["power"] and domains_like("x") == []


def test_help_lists_commands_in_the_order_of_their_use() -> None:
    shown = ok("--help").out
    places = [shown.index(f" {name} ") for name in ("domains", "train", "watch", "evaluate", "report", "new", "serve")]
    assert all(a < b for a, b in pairwise(places)) and "--install-completion" in shown
