"""Who shares weights with whom: every agent one network, or each agent its own.

Networks are written once. A sharing supplies their layers, lays agents out as rows for them, and
scales their gradients down; nothing else asks which of the two it is.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from dgpg.domain import contract

Parameters = Literal["shared", "independent"]


class Sharing(Protocol):
    """How agents map to networks; `active`, `[..., N]`, is True for agents that act."""

    def layer(self, inputs: int, outputs: int, gain: float, seed: torch.Generator) -> nn.Module:
        """A linear layer with orthogonal weights of the given gain and zero bias."""
        ...

    def rows(self, x: Tensor, active: Tensor) -> Tensor:
        """`[..., N, *]` as rows for the networks; `rows(active, active)` says which of them act."""
        ...

    def spread(self, rows: Tensor, active: Tensor) -> Tensor:
        """Back from rows to `[..., N, *]`; where nobody acts the entries mean nothing."""
        ...

    def clip(self, module: nn.Module, max_norm: float) -> Tensor:
        """Scale each network's gradient down to a norm; the (mean) norm before, `[]`."""
        ...


class Shared:
    """One network for all: rows `[M, *]`, one for each agent that acts."""

    def layer(self, inputs: int, outputs: int, gain: float, seed: torch.Generator) -> nn.Module:
        """An ordinary layer, `[..., inputs]` to `[..., outputs]`."""
        # A layer that initialised itself would draw from the global generator.
        layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            nn.init.orthogonal_(layer.weight, gain, generator=seed)
            layer.bias.zero_()
        return layer

    def rows(self, x: Tensor, active: Tensor) -> Tensor:
        """`[M, *]`: agents that do not act cost nothing."""
        return x.flatten(0, active.dim() - 1).index_select(0, active.flatten().nonzero().squeeze(-1))

    def spread(self, rows: Tensor, active: Tensor) -> Tensor:
        """`[..., N, *]`, zero where nobody acts."""
        everywhere = rows.new_zeros(active.numel(), *rows.shape[1:])
        everywhere.index_copy_(0, active.flatten().nonzero().squeeze(-1), rows)
        return everywhere.view(*active.shape, *rows.shape[1:])

    def clip(self, module: nn.Module, max_norm: float) -> Tensor:
        """One norm over all parameters."""
        return nn.utils.clip_grad_norm_(module.parameters(), max_norm)


class Independent:
    """N networks evaluated together: rows `[N, S, *]`, S moments of each agent, acting or not."""

    def __init__(self, count: int) -> None:
        self.count = count

    def layer(self, inputs: int, outputs: int, gain: float, seed: torch.Generator) -> nn.Module:
        """N layers of the same shape, each with weights of its own."""
        return StackedLinear(self.count, inputs, outputs, gain, seed)

    def rows(self, x: Tensor, active: Tensor) -> Tensor:
        """`[N, S, *]`: agents act at different moments, so all moments of all are computed together."""
        contract.look_at_agents(active.shape[-1], self.count)
        return x.flatten(0, active.dim() - 2).transpose(0, 1)

    def spread(self, rows: Tensor, active: Tensor) -> Tensor:
        """`[..., N, *]`."""
        return rows.transpose(0, 1).reshape(*active.shape, *rows.shape[2:])

    def clip(self, module: nn.Module, max_norm: float) -> Tensor:
        """One norm for each agent's parameters."""
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        norm = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        for g in gradients:
            g.mul_(factor.view(-1, *[1] * (g.dim() - 1)))
        return norm.mean()


class StackedLinear(nn.Module):
    """N linear layers at once: agent i's rows `[i, ..., inputs]` times its own `weight[i]`."""

    def __init__(self, count: int, inputs: int, outputs: int, gain: float, seed: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(gain * orthogonal(count, inputs, outputs, seed))
        self.bias = nn.Parameter(torch.zeros(count, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, ..., inputs]` to `[N, ..., outputs]`."""
        rows = torch.baddbmm(self.bias, x.flatten(1, -2), self.weight)
        out: Tensor = rows.view(*x.shape[:-1], self.weight.shape[-1])
        return out


def orthogonal(count: int, rows: int, columns: int, seed: torch.Generator) -> Tensor:
    """Matrices `[count, rows, columns]` with orthonormal columns (rows, where there are fewer), uniform over such.

    QR of a normal matrix, signs fixed by the diagonal of R (Mezzadri 2007).
    """
    tall = torch.randn(count, max(rows, columns), min(rows, columns), generator=seed)
    q, r = torch.linalg.qr(tall)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    matrices: Tensor = q if rows >= columns else q.mT.contiguous()
    return matrices
