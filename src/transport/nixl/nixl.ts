import { assert } from "../../errors/assert.ts"
import { leaveAtExit } from "../../os/leave-at-exit.ts"
import { findNixlLibrary } from "../../os/nixl/find-library.ts"
import type { NixlBackend } from "../../os/nixl/nixl-agent.ts"
import { quietHooks } from "../../os/nixl/quiet-hooks.ts"
import type { Transport } from "../transport.ts"
import { NixlEndpoint } from "./nixl-endpoint.ts"

/** How the nixl transport is made. */
export interface NixlOptions {
  /** NIXL's C library, `libnixl_capi.so`. Looked for in the Python packages of this machine when absent. */
  readonly library?: string | undefined
  /** Plugins of NIXL that shall carry, by name, with parameters if they need some. UCX when absent. */
  readonly backends?: readonly (string | NixlBackend)[]
}

/**
 * Bytes by NIXL, which the user has: its agent and backends in this process, our promises on top.
 *
 * NIXL is called on a thread of its own and nowhere else, because some of its calls never return. It is never needed:
 * nothing of it is loaded before an endpoint is opened.
 */
export function createNixl({ library, backends = ["UCX"] }: NixlOptions = {}): Transport {
  assert(backends.length > 0, "NIXL moves bytes by a backend")
  const plugins = backends.map((backend) => (typeof backend === "string" ? { name: backend } : backend))
  return {
    name: "nixl",
    open: async ({ host }) => {
      const file = findNixlLibrary(library)
      quietHooks()
      const endpoint = await NixlEndpoint.open({ host, library: file, backends: plugins })
      leaveAtExit()
      return endpoint
    },
  }
}
