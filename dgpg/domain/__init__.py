"""What a plugin author touches: the contract, the records that flow through it, and bases that fill it in.

`protocols` says what a domain supplies, `optional` what it may, `types` what flows, `models` and `episodes` are the
bases that save work, `random` has streams that do not depend on the batch. `registry` finds what is installed.
"""

from dgpg.domain.blocks import SupportsBlockCost, SupportsBlockFeatures, SupportsBlockWork, block_looks
from dgpg.domain.episodes import Episodes, Memory, Outcome, observations
from dgpg.domain.models import CostModel, DistanceModel
from dgpg.domain.names import Feature, Names, numbered
from dgpg.domain.optional import (
    SupportsAgentNames,
    SupportsBaselines,
    SupportsCalibration,
    SupportsDescription,
    SupportsDeterminism,
    SupportsEpisodes,
    SupportsFigures,
    SupportsJudge,
    SupportsNames,
    SupportsParts,
    SupportsPlain,
    SupportsSmall,
    SupportsTraining,
    SupportsTransfer,
    SupportsViews,
)
from dgpg.domain.protocols import (
    API_VERSION,
    AgentMapping,
    AnalyticalModel,
    Baseline,
    Domain,
    Environment,
    Information,
    JointMapping,
    Policy,
    Role,
    SupportsBlockPotential,
    SupportsConservation,
    SupportsFit,
    SupportsOwnConfig,
    SupportsReference,
    SupportsRole,
)
from dgpg.domain.random import Streams
from dgpg.domain.registry import load_domain
from dgpg.domain.settings import Settings, merge, validate
from dgpg.domain.spaces import Simplex
from dgpg.domain.types import Context, Decision, Experience, Features, Influence, Observation, Step, allows_any

__all__ = [
    "API_VERSION",
    "AgentMapping",
    "AnalyticalModel",
    "Baseline",
    "Context",
    "CostModel",
    "Decision",
    "DistanceModel",
    "Domain",
    "Environment",
    "Episodes",
    "Experience",
    "Feature",
    "Features",
    "Influence",
    "Information",
    "JointMapping",
    "Memory",
    "Names",
    "Observation",
    "Outcome",
    "Policy",
    "Role",
    "Settings",
    "Simplex",
    "Step",
    "Streams",
    "SupportsAgentNames",
    "SupportsBaselines",
    "SupportsBlockCost",
    "SupportsBlockFeatures",
    "SupportsBlockPotential",
    "SupportsBlockWork",
    "SupportsCalibration",
    "SupportsConservation",
    "SupportsDescription",
    "SupportsDeterminism",
    "SupportsEpisodes",
    "SupportsFigures",
    "SupportsFit",
    "SupportsJudge",
    "SupportsNames",
    "SupportsOwnConfig",
    "SupportsParts",
    "SupportsPlain",
    "SupportsReference",
    "SupportsRole",
    "SupportsSmall",
    "SupportsTraining",
    "SupportsTransfer",
    "SupportsViews",
    "allows_any",
    "block_looks",
    "load_domain",
    "merge",
    "numbered",
    "observations",
    "validate",
]
