"""Drives NIXL through its Python API, with the calls in the order in which vLLM's connector makes them: register memory, exchange
metadata, add the remote agent, prepare lists of descriptors for both sides, make a transfer of them, post, look, release.

Paths are NIXL's backends that move bytes between processes: UCX and LIBFABRIC, and what else of that kind an installation has.
Options: `progress`, NIXL's own progress thread (on, as in its API). Without it an
application has to call NIXL on both sides: see `poll`.

Level "pieces": a list of descriptors for each transfer. Level "blocks": one list of all equal pieces of a region, as vLLM
has it, out of which each transfer picks by index; for pieces that fit no such list, lists of their own.

Deregistration frees NIXL's own records. That peers cannot reach the memory any more is not among what it documents: whoever still
has the metadata is to invalidate it first, and addresses are checked "based on the information available in the exchanged
metadata" alone. So `deregister` is not offered.

@see nixl_connector in vLLM; the API in nixl/_api.py of the wheel; docs/nixl.md (Transfer, Teardown) of NIXL
"""
import base64
import glob
import importlib
import importlib.util
import json
import os
import sys
import types

import driver

from driver import EngineFailed, np, now

STRICT = "NIXL_THREAD_SYNC_STRICT"
PACKAGES = ("nixl", "nixl-cu12", "nixl-cu13")
# The engine itself, where there is no shim before it.
MODULES = ("nixl", "nixl_cu12", "nixl_cu13")
CALLS = ("create_backend", "register_memory", "get_agent_metadata", "add_remote_agent", "remove_remote_agent", "get_xfer_descs",
         "prep_xfer_dlist", "make_prepped_xfer", "transfer", "check_xfer_state", "release_xfer_handle", "release_dlist_handle",
         "get_new_notifs")
# Backends between processes that are looked for beside UCX and LIBFABRIC: none of them has to be there.
OTHER_BACKENDS = ("UCX_MO", "Mooncake", "UCCL")
# More descriptors than this in one list of a region cost more to prepare than they save.
GRID_DESCRIPTORS_MAX = 200_000


def import_nixl():
    try:
        import torch  # noqa: F401
    except ImportError:
        # Releases before 1.4 import torch for the type of a tensor and, since 1.1, to ask which CUDA it was built for. They need
        # nothing of it for host memory.
        stand_in = types.ModuleType("torch")
        stand_in.__path__ = []
        stand_in.Tensor = type("Tensor", (), {})
        stand_in.version = types.ModuleType("torch.version")
        stand_in.version.cuda = None
        sys.modules["torch"] = stand_in
        sys.modules["torch.version"] = stand_in.version
    api = imported()
    driver.require(api, "NIXL's Python API", ("nixl_agent", "nixl_agent_config"))
    driver.require(api.nixl_agent, "nixl_agent of NIXL's Python API", CALLS)
    return api


def imported():
    """The API, through the shim or, where there is none, from the engine's own package."""
    present = [module for module in MODULES if importlib.util.find_spec(module) is not None]
    return importlib.import_module((present or MODULES)[0] + "._api")


def nixl_version():
    return driver.version_of(PACKAGES)


def agent_settings(api, progress, threads=0):
    """What nixl_agent_config is told: only what this release has."""
    wanted = {"enable_prog_thread": progress, "backends": []}
    # Threads may call an agent at the same time only where it is told so.
    sync = getattr(api, "nixl_thread_sync_t", None)
    if sync is not None and driver.takes(api.nixl_agent_config, "sync_mode"):
        wanted["sync_mode"] = sync[STRICT]
    if threads > 0:
        if not driver.takes(api.nixl_agent_config, "num_threads"):
            raise EngineFailed("not-supported", "this release of NIXL has no num_threads")
        wanted["num_threads"] = threads
    return wanted


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
        settings = agent_settings(api, progress, int(options.get("threads") or 0))
        self.agent = api.nixl_agent(name, api.nixl_agent_config(**settings))
        self.make_backend()
        opened = now()
        self.regions = regions
        self.registered = self.agent.register_memory(
            [(address, regions.length, 0, "") for address in regions.addresses], "DRAM")
        registered = now()
        self.capabilities = ["read", "write", "pieces", "blocks", "notify", "cancel", "concurrent", "peers", "heads",
                             "refuses-paths"]
        self.reasons = {"deregister": "NIXL's deregister frees its own records; its documents promise nothing of peers that still have "
                                      "the metadata"}
        if "sync_mode" in settings:
            self.capabilities.append("threads")
        else:
            self.reasons["threads"] = "the Python API of this release has no strict synchronisation: one thread an agent"
        if self.backend.startswith("UCX"):
            self.capabilities.append("peer-death")
        else:
            self.reasons["peer-death"] = "only of UCX NIXL documents that a dead peer ends its transfers (NIXL_ERR_REMOTE_DISCONNECT)"
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
    found = next(filter(None, map(importlib.util.find_spec, MODULES)), None)
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
    listed = getattr(api.nixl_agent("check", api.nixl_agent_config(**agent_settings(api, False))), "plugin_list", ())
    for backend in ("UCX", "LIBFABRIC", *(other for other in OTHER_BACKENDS if other in listed)):
        agent = api.nixl_agent("check-" + backend, api.nixl_agent_config(**agent_settings(api, False)))
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
