/**
 * kvferry as a library: agents that move KV cache blocks between processes and prove that every byte arrived.
 *
 * @packageDocumentation
 */

export type { AgentTimes } from "../agent/agent.ts"
export type { Attachment, PreparedAttach } from "../agent/attach.ts"
export type { Notice } from "../agent/caller.ts"
export type { CallOptions } from "../agent/calls.ts"
export type { ChosenPath } from "../agent/choose-path.ts"
export type { Credentials, Identity, TrustEntry, TrustList } from "../agent/credentials.ts"
export type { GrantedLease, HeldLease } from "../agent/held-lease.ts"
export type { LeaseEnd } from "../agent/lease-state.ts"
export type { Peer } from "../agent/peer.ts"
export type { PreparedRead } from "../agent/prepared-read.ts"
export type { PullOptions } from "../agent/pull.ts"
export type { PushOptions } from "../agent/push.ts"
export type { PathCandidate } from "../agent/rank-paths.ts"
export type { SourcePeer } from "../agent/source-peer.ts"
export { type Ticket, TicketFailed, type TicketOptions } from "../agent/ticket.ts"
export type { TicketState } from "../agent/ticket-state.ts"
export type {
  FabricProvider,
  RailWeight,
  RdmaSettings,
  RelaxedOrderingMode,
  SettingKey,
} from "../config/rdma-settings.ts"
export { errorCodes, type KvErrorCode } from "../errors/codes.ts"
export { KvError, type KvErrorRecord, type KvErrorText } from "../errors/kv-error.ts"
export { type KvLayout, type KvOrder, type KvShape, wholeModelLayout } from "../kv/kv-layout.ts"
export type { MappingOptions, MemorySpan } from "../memory/host-memory.ts"
export type { CrewOptions } from "../movers/thread-crew.ts"
export type {
  Difference,
  IntegrityLevel,
  Party,
  TicketEnd,
  TransferReceipt,
  Verdict,
} from "../receipt/receipt.ts"
export { type CredentialFiles, credentialsFrom } from "../serve/credentials.ts"
export type { Encryption } from "../transport/tcp/tcp.ts"
export type {
  Connection,
  Endpoint,
  Move,
  Moved,
  MoveRequest,
  PreparedMove,
  RegionDescriptor,
  Rights,
} from "../transport/transport.ts"
export type { StoredSequence } from "../verify/fingerprint.ts"
export type { Card } from "../wire/card.ts"
export type { EndpointCard } from "../wire/grant.ts"
export { Cache, type LendOptions, type Lent } from "./cache.ts"
export { type AgentOptions, type CacheOptions, KvAgent, openAgent } from "./open-agent.ts"
