import { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { openSocketPair } from "../../os/socket-pair.ts"

/** How long an end that hung up may take to send what it still has, in milliseconds. */
const lingerMillis = 1000

/**
 * Joins a TLS stream with a pair of local sockets, until either side ends.
 *
 * @returns the other end of the pair, in clear; whoever takes it closes it, and with that the stream.
 * @throws KvError KV_OS when there is no descriptor left.
 */
export function bridge(secure: TLSSocket): number {
  const [near, far] = openSocketPair()
  const local = new Socket({ fd: near, readable: true, writable: true })
  // What went wrong is seen by the stream behind the pair: it ends early.
  local.on("error", () => {})
  // A record that was changed on the way is told as an error, and leaves the stream open: Node 20 and 26.
  secure.on("error", () => secure.destroy())
  secure.pipe(local)
  local.pipe(secure)
  secure.once("close", () => hangUp(local))
  local.once("close", () => {
    secure.unpipe(local)
    hangUp(secure)
  })
  return far
}

/** Sends what is queued, and then closes, or gives up when the other side does not take it. */
function hangUp(socket: Socket): void {
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), lingerMillis)
  socket.once("close", () => clearTimeout(timer))
  socket.resume()
  socket.end()
}
