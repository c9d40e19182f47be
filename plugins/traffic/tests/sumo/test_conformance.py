"""The domain keeps the contract of `dgpg.domain.protocols`, on a grid of 30 drivers."""

from dgpg.testing import DomainTests


class TestSumo(DomainTests):
    domain = "sumo"
