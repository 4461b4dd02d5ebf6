/**
 * Every error code, with what a process ends with because of it and what HTTP says.
 *
 * The set is closed and a code keeps its meaning; each has a page in `docs/failures/`.
 * Exit codes: 1 the judged thing is wrong, 2 wrong usage or configuration, 3 could not be done, 130 interrupted.
 */
export const errorCodes = {
  KV_USAGE: { exit: 2, status: 400 },
  KV_PROMPT_INVALID: { exit: 2, status: 400 },
  KV_PROMPT_TOO_LONG: { exit: 2, status: 400 },
  KV_MODEL_INVALID: { exit: 2, status: 500 },
  KV_REQUEST_INVALID: { exit: 2, status: 400 },
  KV_REQUEST_TOO_LARGE: { exit: 2, status: 413 },
  KV_PLAN_IMPOSSIBLE: { exit: 2, status: 500 },
  KV_BYTES_DIFFER: { exit: 1, status: 500 },
  KV_PORT_IN_USE: { exit: 3, status: 500 },
  KV_PEER_UNREACHABLE: { exit: 3, status: 502 },
  KV_PEER_UNTRUSTED: { exit: 3, status: 403 },
  KV_PEER_REFUSED: { exit: 3, status: 502 },
  KV_PEER_LOST: { exit: 3, status: 502 },
  KV_WORKER_LOST: { exit: 3, status: 503 },
  KV_DEADLINE: { exit: 3, status: 504 },
  KV_CANCELLED: { exit: 130, status: 499 },
  KV_REGION_BOUNDS: { exit: 3, status: 500 },
  KV_RKEY_REJECTED: { exit: 3, status: 502 },
  KV_LEASE_UNKNOWN: { exit: 3, status: 502 },
  KV_BLOCK_REUSED: { exit: 3, status: 502 },
  KV_POOL_EXHAUSTED: { exit: 3, status: 503 },
  KV_LIMIT: { exit: 3, status: 503 },
  KV_WIRE_INVALID: { exit: 3, status: 502 },
  KV_TRANSPORT_UNAVAILABLE: { exit: 3, status: 502 },
  KV_ABI_MISMATCH: { exit: 3, status: 500 },
  KV_INTERNAL: { exit: 3, status: 500 },
  KV_OS: { exit: 3, status: 500 },
} as const satisfies Record<string, { exit: 1 | 2 | 3 | 130; status: number }>

/** The name of one failure, stable across versions. */
export type KvErrorCode = keyof typeof errorCodes
