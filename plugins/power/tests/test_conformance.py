"""The domain keeps the contract of `dgpg.domain.protocols`, with each of its models."""

from typing import ClassVar

from dgpg.testing import DomainTests


class TestPower(DomainTests):
    domain = "power"


class TestDistance(DomainTests):
    domain = "power"
    model = "power.dcopf"
    settings: ClassVar = {"observation": "P"}


class TestNodalPrice(DomainTests):
    domain = "power"
    model = "power.nodal-price"


class TestDistanceByCvxpylayers(DomainTests):
    domain = "power"
    model = "power.dcopf-cvx"
