"""NIXL through its Python API: a target process reads from a source process. See peer.py for the protocol.

Options: `backend` (UCX, LIBFABRIC), `progress` (its progress thread; on by default in the API). Without that thread an
application has to poll on both sides: the target does while it waits, the source while a run is on.

UCX_TLS and FI_PROVIDER come from the environment.
"""
import base64
import sys
import types

import numpy as np

import peer

try:
    import torch  # noqa: F401
except ImportError:
    # NIXL imports torch for the type of a tensor, and needs nothing of it for host memory.
    stand_in = types.ModuleType("torch")
    stand_in.Tensor = type("Tensor", (), {})
    sys.modules["torch"] = stand_in

from importlib.metadata import version  # noqa: E402

from nixl._api import nixl_agent, nixl_agent_config  # noqa: E402


def open_agent(name, options, regions):
    agent = nixl_agent(name, nixl_agent_config(enable_prog_thread=options["progress"], backends=[]))
    agent.create_backend(options["backend"], {})
    agent.register_memory([(int(a), regions.length, 0, "") for a in regions.addresses], "DRAM")
    return agent


def open_source(spec, regions):
    agent = open_agent("source", spec["options"], regions)
    polled = None if spec["options"]["progress"] else agent
    return {"metadata": base64.b64encode(agent.get_agent_metadata()).decode()}, (agent, polled)


def poll(engine):
    if engine[1] is not None:
        engine[1].get_new_notifs()


class Target:
    def __init__(self, spec, regions, hello):
        options = spec["options"]
        self.about = "nixl %s, %s, progress thread %s" % (
            version("nixl"), options["backend"], "on" if options["progress"] else "off")
        self.regions = regions
        self.agent = open_agent("target", options, regions)
        self.remote = self.agent.add_remote_agent(base64.b64decode(hello["metadata"]))
        self.source_addresses = np.array(hello["addresses"], dtype=np.uint64)

    def prepare(self, job):
        agent = self.agent
        local = self.descriptors(job.target_addresses(self.regions.addresses), job.length)
        remote = self.descriptors(job.source_addresses(self.source_addresses), job.length)
        local_list = agent.prep_xfer_dlist("NIXL_INIT_AGENT", agent.get_xfer_descs(local, "DRAM"))
        remote_list = agent.prep_xfer_dlist(self.remote, agent.get_xfer_descs(remote, "DRAM"))
        every = np.arange(job.pieces, dtype=np.int32)
        handle = agent.make_prepped_xfer("READ", local_list, every, remote_list, every)

        def once():
            state = agent.transfer(handle)
            while state == "PROC":
                state = agent.check_xfer_state(handle)
            if state != "DONE":
                raise RuntimeError("the transfer ended as " + str(state))

        return once

    @staticmethod
    def descriptors(addresses, lengths):
        rows = np.zeros((len(addresses), 3), dtype=np.uint64)
        rows[:, 0] = addresses
        rows[:, 1] = lengths
        return rows


if __name__ == "__main__":
    if "--source" in sys.argv:
        peer.serve_source(open_source, poll)
    peer.serve_target(__file__, Target)
