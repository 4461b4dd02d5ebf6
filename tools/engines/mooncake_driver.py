"""Drives Mooncake's Transfer Engine through its Python API: two engines that shake hands with each other, without a server.

Paths are its protocols: tcp, and rdma where there is a card. A call carries at most 1,024 pieces: with its default limits the engine refuses longer lists
(1,024 transfers are queued to one peer). MC_TCP_MAX_QUEUED_TRANSFERS_PER_PEER and what else is set is left as it is.

The calls block; each transfer has a thread, as vLLM's connector for Mooncake has it. The engine answers a number, and the
reason is in its log: on standard error.
"""
import json
import os
import sys
import threading

import driver

from driver import EngineFailed, now

PIECES_OF_A_CALL = 1024
PACKAGES = ("mooncake-transfer-engine-non-cuda", "mooncake-transfer-engine")
CALLS = ("initialize", "get_rpc_port", "batch_register_memory", "batch_unregister_memory", "batch_transfer_sync")
RDMA_DEVICES = "/sys/class/infiniband"


def engine_version():
    return driver.version_of((*PACKAGES, *driver.packages_with("mooncake")))


def import_mooncake():
    from mooncake import engine as module
    driver.require(module, "Mooncake's Python API", ("TransferEngine", "TransferOpcode"))
    driver.require(module.TransferEngine, "TransferEngine of Mooncake's Python API", CALLS)
    return module


def has_notes(module):
    """Since 0.3.7."""
    return hasattr(module, "TransferNotify") and hasattr(module.TransferEngine, "get_notifies")


class Mooncake(driver.Engine):
    def __init__(self):
        self.peers = {}

    def open(self, name, level, path, options, regions):
        started = now()
        self.name = name
        self.protocol = path or "tcp"
        if self.protocol == "tcp":
            # Whatever protocol it is told, it takes the RDMA cards of a machine that has some. This is its switch for tcp.
            os.environ.setdefault("MC_FORCE_TCP", "1")
        module = import_mooncake()
        self.module = module
        self.capabilities = ["read", "write", "pieces", "blocks", "concurrent", "threads", "peers", "deregister", "heads",
                             "refuses-paths", "peer-death"]
        self.reasons = {"cancel": "Mooncake's calls block until they end, and nothing takes them back"}
        self.notifies = has_notes(module)
        if self.notifies:
            self.capabilities.append("notify")
        else:
            self.reasons["notify"] = "the Python API of this release has no notes: they came with 0.3.7"
        self.host = str(options.get("host", "127.0.0.1"))
        self.engine = module.TransferEngine()
        code = self.engine.initialize(self.host, "P2PHANDSHAKE", self.protocol, str(options.get("devices", "")))
        if code != 0:
            raise EngineFailed(str(code), "initialize for the protocol %s answered %d" % (self.protocol, code))
        opened = now()
        self.regions = regions
        code = self.engine.batch_register_memory(list(regions.addresses), [regions.length] * len(regions.addresses))
        if code != 0:
            raise EngineFailed(str(code), "batch_register_memory answered %d" % code)
        registered = now()
        return {
            "about": "Mooncake Transfer Engine %s, %s, at most %d pieces a call" % (
                engine_version(), self.protocol, PIECES_OF_A_CALL),
            "version": engine_version(),
            "libraries": driver.libraries_like(("mooncake", "engine.", "transfer_engine")),
            "micros": {"open": (opened - started) * 1e6, "register": (registered - opened) * 1e6},
        }

    def invite(self):
        return json.dumps({
            "id": "%s:%d" % (self.host, self.engine.get_rpc_port()),
            "addresses": self.regions.addresses,
            "length": self.regions.length,
        })

    def connect(self, peer, card):
        # Mooncake connects with the first transfer.
        self.peers[peer] = json.loads(card)

    def disconnect(self, peer):
        if self.peers.pop(peer, None) is None:
            raise EngineFailed("unknown", "no peer %s is known" % peer)

    def prepare(self, peer, direction, pieces, note):
        if peer not in self.peers:
            raise EngineFailed("unknown", "no peer %s is known" % peer)
        known = self.peers[peer]
        local = pieces.local_addresses(self.regions.addresses).tolist()
        remote = pieces.remote_addresses(known["addresses"]).tolist()
        lengths = pieces.length.tolist()
        calls = []
        for first in range(0, pieces.count, PIECES_OF_A_CALL):
            end = first + PIECES_OF_A_CALL
            calls.append((local[first:end], remote[first:end], lengths[first:end]))
        opcode = self.module.TransferOpcode.Read if direction == "read" else self.module.TransferOpcode.Write
        if not self.notifies:
            return Moved(self.engine, known["id"], opcode, calls, ())
        # Since 0.3.12 the last one may be left out; before, all six are wanted.
        said = None if note is None else self.module.TransferNotify(self.name, note)
        return Moved(self.engine, known["id"], opcode, calls, (said,))

    def notes(self):
        if not self.notifies:
            return []
        return [(note.name, note.msg) for note in self.engine.get_notifies()]

    def deregister(self):
        code = self.engine.batch_unregister_memory(list(self.regions.addresses))
        if code != 0:
            raise EngineFailed(str(code), "batch_unregister_memory answered %d" % code)


class Moved:
    """A transfer: calls that a thread makes one after the other."""

    def __init__(self, engine, peer, opcode, calls, note):
        self.engine = engine
        self.peer = peer
        self.opcode = opcode
        self.calls = calls
        # The note as the API wants it: the last of its arguments, or none.
        self.note = note
        self.done = threading.Event()
        self.go = threading.Event()
        self.problem = None
        self.over = False
        self.thread = None

    def post(self):
        self.problem = None
        self.done.clear()
        if self.thread is None:
            self.thread = threading.Thread(target=self.work, daemon=True)
            self.thread.start()
        self.go.set()

    def work(self):
        while True:
            self.go.wait()
            self.go.clear()
            if self.over:
                return
            try:
                self.run()
            except Exception as problem:
                self.problem = problem
            self.done.set()

    def run(self):
        last = len(self.calls) - 1
        for number, (mine, theirs, lengths) in enumerate(self.calls):
            note = self.note if number == last else tuple(None for _ in self.note)
            code = self.engine.batch_transfer_sync(self.peer, mine, theirs, lengths, self.opcode, *note)
            if code != 0:
                raise EngineFailed(str(code), "call %d of %d, of %d pieces, answered %d" % (
                    number + 1, len(self.calls), len(mine), code))

    def block(self, seconds):
        self.done.wait(seconds)

    def state(self):
        if not self.done.is_set():
            return "pending"
        if self.problem is not None:
            raise self.problem
        return "done"

    def release(self):
        self.over = True
        self.go.set()


def check():
    """One JSON line: the version, and which protocols can be had here."""
    os.environ.setdefault("MC_FORCE_TCP", "1")
    module = import_mooncake()
    code = module.TransferEngine().initialize("127.0.0.1", "P2PHANDSHAKE", "tcp", "")
    tcp = {"path": "tcp", "usable": code == 0}
    if code != 0:
        tcp["why"] = "initialize answered %d" % code
    # The engine itself would say that it has RDMA, and take tcp.
    rdma = {"path": "rdma", "usable": os.path.isdir(RDMA_DEVICES) and bool(os.listdir(RDMA_DEVICES))}
    if not rdma["usable"]:
        rdma["why"] = "no RDMA device in %s" % RDMA_DEVICES
    return {"version": engine_version(), "paths": [tcp, rdma]}


if __name__ == "__main__":
    # Its log says the reasons that its answers do not.
    os.environ.setdefault("MC_LOG_LEVEL", "WARNING")
    words = driver.load_libraries(sys.argv[1:])
    if words == ["--check"]:
        driver.report(check)
    driver.serve(Mooncake)
