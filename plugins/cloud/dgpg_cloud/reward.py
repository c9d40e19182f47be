"""The shared cost of a step, and the part of it that a dispatcher could be billed for."""

from __future__ import annotations

from torch import Tensor

from dgpg_cloud.config import Weights


def machine_cost(queued: Tensor, on: Tensor, used: Tensor, inverse: Tensor, price: Tensor, weights: Weights) -> Tensor:
    """w_q jobs waiting + w_p price of machines that are on + w_s price of stranded capacity, of each machine, `[B, M]`.

    The number of jobs waiting, summed over steps, is the total waiting time (Little 1961). Stranded is the free
    memory that no free vCPU can use, or the reverse, as a share of the machine: |used_c / C_c - used_m / C_m|.

    Args:
        queued: jobs in each machine's queue, `[B, M]`.
        on: machines that run or queue anything, bool `[B, M]`.
        used: vCPU and GiB (and GPU) held by running jobs, `[B, M, R]`.
        inverse: 1 / capacity, `[M, R]`.
        price: USD per hour, `[M]`.
        weights: of the three terms.
    """
    share = used * inverse
    stranded = (share[..., 0] - share[..., 1]).abs()
    return weights.waiting * queued + price * (weights.price * on + weights.stranded * stranded)


def bill(placed: Tensor, share: Tensor, steps: Tensor, price: Tensor, weights: Weights) -> Tensor:
    """What a dispatcher can be billed for what it reserves, `[B, N]`.

    A job is billed when it is placed: price x its dominant share of the machine x the steps it runs. Switched-on
    but idle capacity and stranded capacity belong to nobody, which is what makes this reward local.

    Args:
        placed: job placed in this step, bool `[B, N]`.
        share: its largest share of the machine's resources, `[B, N]`.
        steps: how long it will run there, `[B, N]`.
        price: of the machine, `[B, N]`.
        weights: of the terms.
    """
    return weights.price * placed * price * share * steps
