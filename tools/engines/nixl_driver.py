"""Drives NIXL through its Python API, with the calls in the order in which vLLM's connector makes them: register memory, exchange
metadata, add the remote agent, prepare lists of descriptors for both sides, make a transfer of them, post, look, release.

Paths are NIXL's backends: UCX, LIBFABRIC. Options: `progress`, NIXL's own progress thread (on, as in its API). Without it an
application has to call NIXL on both sides: see `poll`.

Level "pieces": a list of descriptors for each transfer. Level "blocks": one list of all equal pieces of a region, as vLLM
has it, out of which each transfer picks by index; for pieces that fit no such list, lists of their own.

@see nixl_connector in vLLM; the API in nixl/_api.py of the wheel
"""
import base64
import glob
import json
import os
import sys
import types

import driver

from driver import EngineFailed, np, now

STRICT = "NIXL_THREAD_SYNC_STRICT"
# More descriptors than this in one list of a region cost more to prepare than they save.
GRID_DESCRIPTORS_MAX = 200_000


def import_nixl():
    try:
        import torch  # noqa: F401
    except ImportError:
        # Releases before 1.0 import torch for the type of a tensor, and need nothing of it for host memory.
        stand_in = types.ModuleType("torch")
        stand_in.Tensor = type("Tensor", (), {})
        sys.modules["torch"] = stand_in
    from nixl import _api
    return _api


def nixl_version():
    from importlib.metadata import version
    return version("nixl")


class Nixl(driver.Engine):
    def __init__(self):
        self.peers = {}
        self.peer_of_agent = {}
        self.grids = {}
        self.heard = []

    def open(self, name, level, path, options, regions):
        started = now()
        api = import_nixl()
        self.level = level
        self.backend = path or "UCX"
        progress = bool(options.get("progress", True))
        self.wants_polling = not progress
        # Threads may call an agent at the same time only where it is told so.
        sync = getattr(api, "nixl_thread_sync_t", None)
        settings = {} if sync is None else {"sync_mode": sync[STRICT]}
        rails = options.get("threads")
        if rails:
            settings["num_threads"] = int(rails)
        config = api.nixl_agent_config(enable_prog_thread=progress, backends=[], **settings)
        self.agent = api.nixl_agent(name, config)
        self.make_backend()
        opened = now()
        self.regions = regions
        self.registered = self.agent.register_memory(
            [(address, regions.length, 0, "") for address in regions.addresses], "DRAM")
        registered = now()
        self.capabilities = ["read", "write", "pieces", "blocks", "notify", "cancel", "concurrent", "peers", "deregister",
                             "heads", "refuses-paths"]
        if sync is not None:
            self.capabilities.append("threads")
        if self.backend == "UCX":
            # LIBFABRIC leaves a transfer from a peer that has died in progress for ever.
            self.capabilities.append("peer-death")
        version = nixl_version()
        provider = os.environ.get("FI_PROVIDER")
        over = " over %s" % provider if self.backend == "LIBFABRIC" and provider else ""
        return {
            "about": "NIXL %s, %s%s, progress thread %s" % (version, self.backend, over, "on" if progress else "off"),
            "version": version,
            "libraries": driver.libraries_like(("libplugin_", "libucp", "libuct", "libfabric", "libcuda", "libnixl")),
            "micros": {"open": (opened - started) * 1e6, "register": (registered - opened) * 1e6},
        }

    def make_backend(self):
        try:
            self.agent.create_backend(self.backend, {})
        except Exception as problem:
            raise EngineFailed(driver.code_of(problem), "no backend %s: %s%s" % (
                self.backend, problem, why_not_loaded(self.backend))) from problem

    def invite(self):
        return json.dumps({
            "agent": self.agent.name,
            "metadata": base64.b64encode(self.agent.get_agent_metadata()).decode(),
            "addresses": self.regions.addresses,
            "length": self.regions.length,
        })

    def connect(self, peer, card):
        told = json.loads(card)
        if peer in self.peers:
            self.disconnect(peer)
        agent = self.agent.add_remote_agent(base64.b64decode(told["metadata"]))
        agent = agent.decode() if isinstance(agent, bytes) else agent
        self.peers[peer] = {"agent": agent, "addresses": told["addresses"], "length": told["length"]}
        self.peer_of_agent[agent] = peer

    def disconnect(self, peer):
        known = self.peers.pop(peer, None)
        if known is None:
            raise EngineFailed("unknown", "no peer %s is known" % peer)
        for key in [key for key in self.grids if key[0] == peer]:
            self.release_list(self.grids.pop(key))
        self.peer_of_agent.pop(known["agent"], None)
        self.agent.remove_remote_agent(known["agent"])

    def prepare(self, peer, direction, pieces, note):
        if peer not in self.peers:
            raise EngineFailed("unknown", "no peer %s is known" % peer)
        known = self.peers[peer]
        unit = self.unit_of(pieces, known)
        if unit is not None:
            local = self.grid(None, unit, self.regions.addresses, self.regions.length)
            remote = self.grid(peer, unit, known["addresses"], known["length"])
            mine = grid_indices(pieces.local_region, pieces.local_offset, unit, self.regions.length)
            theirs = grid_indices(pieces.remote_region, pieces.remote_offset, unit, known["length"])
            owned = ()
        else:
            local = self.prepared("NIXL_INIT_AGENT", pieces.local_addresses(self.regions.addresses), pieces.length)
            remote = self.prepared(known["agent"], pieces.remote_addresses(known["addresses"]), pieces.length)
            mine = theirs = np.arange(pieces.count, dtype=np.int32)
            owned = (local, remote)
        handle = self.agent.make_prepped_xfer(
            "READ" if direction == "read" else "WRITE", local, mine, remote, theirs, (note or "").encode())
        return Moved(self, handle, owned)

    def unit_of(self, pieces, known):
        """The length of all pieces, where every one is an entry of the list of all pieces of that length."""
        if self.level != "blocks" or pieces.count == 0:
            return None
        unit = int(pieces.length[0])
        if unit == 0 or np.any(pieces.length != unit):
            return None
        if np.any(pieces.local_offset % unit) or np.any(pieces.remote_offset % unit):
            return None
        if self.regions.length % unit or known["length"] % unit:
            return None
        if np.any(pieces.local_offset >= self.regions.length) or np.any(pieces.remote_offset >= known["length"]):
            return None
        longest = max(len(self.regions.addresses) * self.regions.length, len(known["addresses"]) * known["length"])
        return unit if longest // unit <= GRID_DESCRIPTORS_MAX else None

    def grid(self, peer, unit, addresses, length):
        """The prepared list of all pieces of `unit` bytes of one side, region by region."""
        key = (peer, unit)
        if key not in self.grids:
            steps = np.arange(length // unit, dtype=np.uint64) * np.uint64(unit)
            every = (np.asarray(addresses, dtype=np.uint64)[:, None] + steps[None, :]).ravel()
            agent = "NIXL_INIT_AGENT" if peer is None else self.peers[peer]["agent"]
            self.grids[key] = self.prepared(agent, every, np.full(len(every), unit, dtype=np.uint64))
        return self.grids[key]

    def prepared(self, agent, addresses, lengths):
        rows = np.zeros((len(addresses), 3), dtype=np.uint64)
        rows[:, 0] = addresses
        rows[:, 1] = lengths
        return self.agent.prep_xfer_dlist(agent, self.agent.get_xfer_descs(rows, "DRAM"))

    def release_list(self, prepared):
        self.agent.release_dlist_handle(prepared)

    def poll(self):
        """NIXL without its thread moves in this call."""
        for agent, texts in self.agent.get_new_notifs().items():
            self.heard += [(self.peer_of_agent.get(agent, agent), text.decode(errors="replace")) for text in texts]

    def notes(self):
        self.poll()
        heard, self.heard = self.heard, []
        return heard

    def deregister(self):
        self.agent.deregister_memory(self.registered)


class Moved:
    """A transfer as NIXL holds it."""

    def __init__(self, engine, handle, lists):
        self.engine = engine
        self.agent = engine.agent
        self.handle = handle
        self.lists = lists
        self.told = None

    def post(self):
        self.told = None
        self.told = self.agent.transfer(self.handle)

    def state(self):
        if self.told == "PROC":
            self.told = self.agent.check_xfer_state(self.handle)
        if self.told == "PROC":
            return "pending"
        if self.told != "DONE":
            raise EngineFailed(str(self.told), "NIXL says %s of this transfer" % self.told)
        return "done"

    def cancel(self):
        """NIXL takes back what is under way when its handle is released, or says that it cannot."""
        self.agent.release_xfer_handle(self.handle)
        self.handle = None

    def release(self):
        if self.handle is not None:
            self.agent.release_xfer_handle(self.handle)
            self.handle = None
        for prepared in self.lists:
            self.engine.release_list(prepared)
        self.lists = ()


def grid_indices(regions, offsets, unit, length):
    return (regions * (length // unit) + (offsets // np.uint64(unit)).astype(np.int64)).astype(np.int32)


def why_not_loaded(backend):
    """NIXL says of a plugin that cannot be loaded only that there is none. The loader says why."""
    import ctypes
    import importlib.util
    found = importlib.util.find_spec("nixl")
    site = os.path.dirname(os.path.dirname(found.origin)) if found is not None and found.origin else ""
    files = glob.glob(os.path.join(glob.escape(site), ".nixl*.libs", "plugins", "libplugin_%s.so" % glob.escape(backend)))
    files += glob.glob(os.path.join(glob.escape(site), "nixl*.libs", "plugins", "libplugin_%s.so" % glob.escape(backend)))
    if not files:
        return ""
    try:
        ctypes.CDLL(files[0])
    except OSError as problem:
        return " (%s)" % str(problem).replace(site + os.sep, "")
    return ""


def check():
    """One JSON line: the version, and which backends can be had here, or why not."""
    api = import_nixl()
    paths = []
    for backend in ("UCX", "LIBFABRIC"):
        agent = api.nixl_agent("check-" + backend, api.nixl_agent_config(enable_prog_thread=False, backends=[]))
        try:
            agent.create_backend(backend, {})
            paths.append({"path": backend, "usable": True})
        except Exception as problem:
            paths.append({"path": backend, "usable": False, "why": "%s%s" % (problem, why_not_loaded(backend))})
    return {"version": nixl_version(), "paths": paths}


if __name__ == "__main__":
    words = driver.load_libraries(sys.argv[1:])
    if words == ["--check"]:
        driver.report(check)
    driver.serve(Nixl)
