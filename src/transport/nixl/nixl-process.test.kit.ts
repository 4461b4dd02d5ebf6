/** Another process with a nixl endpoint: `startNixlPeer` starts it, and this file is its program. */
import { fileURLToPath } from "node:url"
import { servePeer } from "../peer-orders.test.kit.ts"
import { PeerProcess } from "../peer-process.test.kit.ts"
import { createNixl } from "./nixl.ts"

/** @param env for UCX, say: which of its transports it may use. */
export function startNixlPeer(library: string, env: NodeJS.ProcessEnv = {}): Promise<PeerProcess> {
  return new PeerProcess(fileURLToPath(import.meta.url), { args: [library], env }).opened()
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  servePeer(await createNixl({ library: process.argv[2] }).open({ host: "127.0.0.1", rails: 1 }))
