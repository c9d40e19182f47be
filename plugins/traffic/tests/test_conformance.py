"""The domain keeps the contract of `dgpg.domain.protocols`, with each of its models."""

from typing import ClassVar

from dgpg.testing import DomainTests


class TestTraffic(DomainTests):
    domain = "traffic"


class TestDistance(DomainTests):
    domain = "traffic"
    model = "traffic.system-optimum"
    settings: ClassVar = {"queues": False}


class TestDistanceByCvxpylayers(DomainTests):
    domain = "traffic"
    model = "traffic.system-optimum-cvx"
    settings: ClassVar = {"queues": False}


class TestStatic(DomainTests):
    domain = "traffic"
    settings: ClassVar = {"queues": False}


class TestSelfishPotential(DomainTests):
    domain = "traffic"
    model = "traffic.user-equilibrium"
    settings: ClassVar = {"agents_per_pair": 1, "start": "shortest"}
