"""A policy as a service: `/decide` behind guard rails, watched, swapped while it runs; no torch.

`pip install 'dgpg[serve]'`. `service` decides and knows no HTTP; `app` is the service over HTTP.
"""

from dgpg.serve.app import create
from dgpg.serve.log import Log
from dgpg.serve.service import FAILED, Answer, Loaded, NoAnswerError, Service
from dgpg.serve.settings import Settings, Tls

__all__ = ["FAILED", "Answer", "Loaded", "Log", "NoAnswerError", "Service", "Settings", "Tls", "create"]
