import { KvError } from "../../errors/kv-error.ts"

export const lostPeer = (why: string): KvError =>
  new KvError("KV_PEER_LOST", { what: "the simulated connection is gone", why })

export const rejectedKey = (region: number, why: string): KvError =>
  new KvError("KV_RKEY_REJECTED", { what: `the key of region ${region} was rejected`, why })
