"""Mooncake's transfer engine through its Python API, over TCP: a target process reads from a source process.

See peer.py for the protocol. A call carries at most 1,024 pieces: with its default limits the engine refuses longer
lists (its queue holds 1,024 transfers to one peer).
"""
import sys
from importlib.metadata import PackageNotFoundError, version

import peer

from mooncake.engine import TransferEngine

PIECES_OF_A_CALL = 1024
HOST = "127.0.0.1"


def open_engine(regions):
    engine = TransferEngine()
    code = engine.initialize(HOST, "P2PHANDSHAKE", "tcp", "")
    if code != 0:
        raise RuntimeError("initialize answered %d" % code)
    addresses = [int(a) for a in regions.addresses]
    code = engine.batch_register_memory(addresses, [regions.length] * len(addresses))
    if code != 0:
        raise RuntimeError("batch_register_memory answered %d" % code)
    return engine


def open_source(spec, regions):
    engine = open_engine(regions)
    return {"id": "%s:%d" % (HOST, engine.get_rpc_port())}, engine


def version_of(*names):
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "of unknown version"


class Target:
    def __init__(self, spec, regions, hello):
        del spec
        self.about = "mooncake-transfer-engine %s, tcp" % version_of(
            "mooncake-transfer-engine-non-cuda", "mooncake-transfer-engine")
        self.regions = regions
        self.engine = open_engine(regions)
        self.peer = hello["id"]
        self.source_addresses = peer.np.array(hello["addresses"], dtype=peer.np.uint64)

    def prepare(self, job):
        local = job.target_addresses(self.regions.addresses).tolist()
        remote = job.source_addresses(self.source_addresses).tolist()
        lengths = job.length.tolist()
        calls = []
        for first in range(0, job.pieces, PIECES_OF_A_CALL):
            end = first + PIECES_OF_A_CALL
            calls.append((local[first:end], remote[first:end], lengths[first:end]))

        def once():
            for mine, theirs, sizes in calls:
                code = self.engine.batch_transfer_sync_read(self.peer, mine, theirs, sizes)
                if code != 0:
                    raise RuntimeError("batch_transfer_sync_read answered %d" % code)

        return once


if __name__ == "__main__":
    if "--source" in sys.argv:
        peer.serve_source(open_source, None)
    peer.serve_target(__file__, Target)
