import { randomBytes } from "node:crypto"
import type { AuthenticatedPeer, Credentials } from "../agent/credentials.ts"
import { type ExplainedPath, explainPeer } from "../agent/explain-peer.ts"
import { keyFingerprint } from "../agent/key-pairs.ts"
import type { RdmaSettings } from "../config/rdma-settings.ts"
import { type KvLayout, layerBytes } from "../kv/kv-layout.ts"
import { openCrew } from "../movers/thread-crew.ts"
import { monotonicClock } from "../os/clock.ts"
import { tcpControlNetwork } from "../os/control-net.ts"
import type { Encryption } from "../transport/tcp/tcp.ts"
import { tryPaths } from "./transports.ts"

/** What is asked of a peer. */
export interface ExplainRequest {
  readonly paths: readonly string[]
  readonly required?: readonly string[]
  /** What tcp does with its streams; `none` when absent. */
  readonly encryption?: Encryption
  /** What an operator decides of RDMA; the defaults when absent. */
  readonly rdma?: RdmaSettings
  readonly credentials: Credentials
  readonly timeoutMillis: number
}

/** The document that `kvferry explain --json` prints. Sizes in bytes, times in microseconds. */
export interface ExplainReport {
  readonly schema: "kvferry/explain/1"
  readonly peer: {
    readonly address: string
    readonly agentId: string
    readonly bootId: string
    readonly pid: number
    readonly software: string
    /** Hash over the model. */
    readonly model: string
    readonly layout: KvLayout
    /** Bytes of all its regions. */
    readonly poolBytes: number
  }
  /** What the peer proved. `name` is what this side's trust file calls its key. */
  readonly trust: Pick<AuthenticatedPeer, "how" | "publicKey" | "name"> & { readonly fingerprint?: string }
  readonly policy: { readonly paths: readonly string[]; readonly require?: readonly string[] }
  readonly handshakeMicros: number
  readonly candidates: readonly ExplainedPath[]
  /** Transport that would be used; null when none is, or when it does not connect. */
  readonly chosen: string | null
}

/**
 * Opens the allowed paths, looks at a peer with them, and closes them again.
 * @throws KvError as `explainPeer`; KV_USAGE for a policy that makes no sense.
 */
export async function explain(address: string, request: ExplainRequest): Promise<ExplainReport> {
  const { paths, required, encryption = "none", credentials, timeoutMillis } = request
  // A required path that cannot be opened is what is to be explained, not a reason to say nothing.
  await using crew = await openCrew({ threads: 1 })
  const policed = required === undefined ? {} : { required }
  const settled = request.rdma === undefined ? {} : { rdma: request.rdma }
  const options = { host: "127.0.0.1", rails: 1, crew, encryption, ...policed, ...settled }
  const { endpoints, policy } = await tryPaths(paths, options)
  try {
    const bootId = randomBytes(16).toString("hex")
    const { card, peer, candidates, handshakeMicros } = await explainPeer(address, {
      party: { pid: process.pid, agentId: `explain-${bootId.slice(0, 6)}`, bootId },
      credentials,
      endpoints,
      policy,
      network: tcpControlNetwork,
      clock: monotonicClock,
      timeoutMillis,
    })
    const chosen = candidates.find((candidate) => candidate.chosen && candidate.outcome?.connected === true)
    const { agentId, pid, software, model, layout } = card
    return {
      schema: "kvferry/explain/1",
      peer: {
        address,
        agentId,
        bootId: card.bootId,
        pid,
        software,
        model,
        layout,
        poolBytes: layerBytes(layout) * layout.shape.layers,
      },
      trust: {
        how: peer.how,
        ...(peer.publicKey === undefined
          ? {}
          : { publicKey: peer.publicKey, fingerprint: keyFingerprint(peer.publicKey) }),
        ...(peer.name === undefined ? {} : { name: peer.name }),
      },
      policy: { paths: policy.allowed, ...(required === undefined ? {} : { require: required }) },
      handshakeMicros,
      candidates,
      chosen: chosen?.transport ?? null,
    }
  } finally {
    await Promise.all(endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()))
  }
}
