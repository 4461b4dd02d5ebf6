/**
 * The beacon: a page of its owner's memory that says what may be read there, and until when.
 *
 *     header 64 B | sessions, 64 B each | regions, 32 B each       little-endian
 *
 * The kernel asks nobody before it copies, so who reads looks at the beacon after each copy: a region that is still
 * registered, under the same key, for a session that is still admitted, was so while the bytes were read.
 */
import { createHmac } from "node:crypto"
import type { Rights, Session } from "../transport.ts"

/** Sessions that one endpoint admits at one time. */
export const sessionsMax = 256
/** Regions that one endpoint registers at one time: a layer has one. */
export const regionsMax = 1024

export const headerBytes = 64
export const sessionBytes = 64
export const regionBytes = 32
/** Where the tables start. */
export const tableAt = { sessions: headerBytes, regions: headerBytes + sessionsMax * sessionBytes } as const
export const beaconBytes = tableAt.regions + regionsMax * regionBytes

/** Marks a beacon of this layout. */
export const beaconMark = Buffer.from("kvfcma1\n", "latin1")
export const tokenBytes = 16
export const proofBytes = 32
export const tokenAt = 16
export const proofAt = 32

/** Words of the header. */
export const headerWord = { alive: 2, regionsUsed: 3 } as const
/** Words of a session. The last three are written by the peer: its process, and its writes into our memory. */
export const sessionWord = { admitted: 0, rights: 1, writer: 2, begun: 3, ended: 4 } as const
/** Words of a region; its address and length are numbers of 8 bytes. */
export const regionWord = { live: 0, region: 1, rkey: 2, access: 3 } as const
export const regionFloat = { address: 2, byteLength: 3 } as const

export const rightsBits = (rights: Rights): number => (rights.read ? 1 : 0) | (rights.write ? 2 : 0)
/** True when `bits` allow a move in this direction. */
export const allows = (bits: number, direction: "read" | "write"): boolean =>
  (bits & (direction === "read" ? 1 : 2)) !== 0

/** How a reader recognises the entry of a session that it knows the key of. */
export function sessionProof(session: Session, token: string): Buffer {
  return createHmac("sha256", session.key).update(`kvferry cma 1 ${token} ${session.id}`).digest()
}
