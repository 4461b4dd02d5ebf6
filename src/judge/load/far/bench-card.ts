import { randomBytes } from "node:crypto"
import { KvError } from "../../../errors/kv-error.ts"
import { type Card, cardVersion, noCacheLayout } from "../../../wire/card.ts"

/** What a side of a bench shows of itself in the agents' handshake: it has no cache, and no address. */
export function benchCard(side: "target" | "initiator", software: string): Card {
  const bootId = randomBytes(16).toString("hex")
  return {
    version: cardVersion,
    agentId: `bench-${side}-${bootId.slice(0, 6)}`,
    bootId,
    pid: process.pid,
    software,
    model: "bench",
    layout: noCacheLayout,
    transports: [],
  }
}

/** Orders of another version may mean something else. @throws KvError KV_PEER_REFUSED naming both. */
export function checkSameVersion(ourName: string, ours: Card, theirName: string, theirs: Card): void {
  if (theirs.model !== ours.model) {
    throw new KvError("KV_PEER_REFUSED", {
      what: `${theirName} is no side of a bench`,
      next: "kvferry bench initiator and kvferry bench target talk to each other, and to nobody else",
    })
  }
  if (theirs.software === ours.software) return
  throw new KvError("KV_PEER_REFUSED", {
    what: `${ourName} runs kvferry ${ours.software}, ${theirName} runs ${theirs.software}`,
    why: "the two sides of a bench speak to each other's insides",
    next: "install the same version on both hosts",
  })
}
