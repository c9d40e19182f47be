"""The domain keeps the contract of `dgpg.domain.protocols`, and its training beats the rules beside it."""

from dgpg.measuring.evaluate import baseline_rows, network_rows
from dgpg.runs import open_trained, resolve, start
from dgpg.runs.training import train
from dgpg.testing import DomainTests


class TestContract(DomainTests):
    domain = "example"


def test_training_beats_every_rule_with_the_same_information(tmp_path) -> None:
    trainer, folder = start(resolve("example", {"device": "cpu"}), tmp_path / "run")
    train(trainer, folder, None, lambda metrics: None)
    trained = open_trained(tmp_path / "run", {})
    rules = baseline_rows(trained.domain, trained.config, trained.model, 8, 1, trained.device)
    (sampled, _) = network_rows("dg-pg", "policy", trained.team, trained, 8, 1)
    assert sampled.cost < min(row.cost for row in rules if row.information == "same" and row.name != "greedy-potential")
