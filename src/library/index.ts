/**
 * kvferry as a library: agents that move KV cache blocks between processes and prove that every byte arrived.
 *
 * @packageDocumentation
 */

export type { Attachment, PreparedAttach } from "../agent/attach.ts"
export type { Notice } from "../agent/caller.ts"
export type { Credentials, Identity, TrustEntry, TrustList } from "../agent/credentials.ts"
export type { GrantedLease, HeldLease } from "../agent/held-lease.ts"
export type { LeaseEnd } from "../agent/lease-state.ts"
export type { Peer } from "../agent/peer.ts"
export type { PreparedRead } from "../agent/prepared-read.ts"
export type { PullOptions } from "../agent/pull.ts"
export type { PushOptions } from "../agent/push.ts"
export { type Ticket, TicketFailed, type TicketOptions } from "../agent/ticket.ts"
export type { TicketState } from "../agent/ticket-state.ts"
export type { KvErrorCode } from "../errors/codes.ts"
export { KvError, type KvErrorRecord } from "../errors/kv-error.ts"
export { type KvLayout, type KvOrder, type KvShape, wholeModelLayout } from "../kv/kv-layout.ts"
export type { IntegrityLevel, Party, TransferReceipt, Verdict } from "../receipt/receipt.ts"
export { Cache, type LendOptions, type Lent } from "./cache.ts"
export { type AgentOptions, type CacheOptions, KvAgent, openAgent } from "./open-agent.ts"
