"""What the analytical model says of each candidate: `cloud.headroom` on what a dispatcher sees."""

from __future__ import annotations

import numpy as np

from dgpg_cloud.deploy.rules import Floats, View, count
from dgpg_cloud.deploy.scales import LARGE_MACHINE, Scales


def rise(scales: Scales, choices: Floats) -> Floats:
    """phi_m with the job less phi_m without it, of each candidate `[..., K]`; see `HeadroomModel`.

    In units of what a step costs, summed over the steps that the effect lasts.

    Args:
        scales: of the instance that the policy was trained in.
        choices: features `[..., K, C]`, in the order of the names.
    """
    view, r = View.of(choices), scales.resources
    requested, share = choices[..., r : 2 * r], choices[..., 4 * r + 4 : 5 * r + 4]
    vcpu = choices[..., 3 * r + 4] * LARGE_MACHINE[0]
    run = count(choices[..., -1])[..., None]
    before = _potential(scales, requested, view.drain, view.price, vcpu)
    return _potential(scales, requested + share, view.drain + share * run, view.price, vcpu) - before


def _potential(scales: Scales, share: Floats, time: Floats, price: Floats, vcpu: Floats) -> Floats:
    """phi_m of requested shares and times until empty `[..., K, R]`."""
    (waiting, worth, stranded), (full, crowd), (job, steps) = scales.weights, scales.model, scales.mean_job
    excess = np.maximum(share.max(-1) - full, 0)
    apart = np.abs(time[..., 0] - time[..., 1])
    found: Floats = crowd * waiting * vcpu / job * steps * excess**2 + price * (worth * time.max(-1) + stranded * apart)
    return found
