"""Several processes of one training, as a launcher would start them; they are forked, as torch takes long to import."""

import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path

import torch

from dgpg import cli
from dgpg.cli import training
from dgpg.domain import registry

# All of this before processes are forked; the first optimiser imports a good part of torch.
assert training
registry.load_domain("cloud")
torch.optim.Adam([torch.zeros(1, requires_grad=True)])

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.processes"])


def _rank(rank: int, size: int, port: int, args: list[str], folder: str, environ: dict[str, str]) -> None:
    os.chdir(folder)
    place = {"WORLD_SIZE": size, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()} | environ)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    torch.set_num_threads(1)
    sys.argv = ["dgpg", *args]
    cli.main()


class Processes:
    """Ranks 0, 1, ... of one command, in a folder; a context manager that leaves none behind."""

    def __init__(self, size: int, *args: object, folder: Path, **environ: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder = folder
        told = [str(arg) for arg in args]
        self.ranks = [
            CONTEXT.Process(target=_rank, args=(rank, size, port, told, str(folder), environ)) for rank in range(size)
        ]

    def __enter__(self) -> "Processes":
        for process in self.ranks:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.ranks:
            process.kill()
            process.join()

    def wait(self, seconds: float = 240) -> list[int | None]:
        """How each ended."""
        end = time.monotonic() + seconds
        for process in self.ranks:
            process.join(max(end - time.monotonic(), 0))
        return [process.exitcode for process in self.ranks]

    def until(self, log: Path, lines: int) -> None:
        """Until so many iterations are logged."""
        end = time.monotonic() + 240
        while not log.exists() or len(log.read_bytes().splitlines()) < lines:
            assert time.monotonic() < end and all(process.is_alive() for process in self.ranks), self.err(0)
            time.sleep(0.01)

    def out(self, rank: int) -> str:
        return (self.folder / f"out-{rank}").read_text()

    def err(self, rank: int) -> str:
        return (self.folder / f"err-{rank}").read_text()
