import { createServer, connect as netConnect, type Socket } from "node:net"
import type { ControlChannel, ControlListener, ControlNetwork } from "../agent/control-network.ts"
import { KvError } from "../errors/kv-error.ts"
import { listenError } from "./listen-error.ts"

/** Channels that one listener holds at once; a further one is closed at once. */
const channelsMax = 256
/** Bytes that may wait to be sent on one channel: a peer that does not read is cut off. */
const unsentBytesMax = 256 * 2 ** 20
/** From so many unsent bytes on, no more is read from a caller: it shall take its answers before it asks again. */
const unsentBytesEnough = 2 ** 20
/** A peer whose machine or cable died sends no farewell: probes after this silence notice it within seconds. */
const probes = { keepAlive: true, keepAliveInitialDelay: 5000 } as const

/** Control channels over TCP. */
export const tcpControlNetwork: ControlNetwork = { listen, connect }

function listen(
  host: string,
  port: number,
  onChannel: (channel: ControlChannel) => void,
): Promise<ControlListener> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, ...probes }, (socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    onChannel(channelOf(socket, "answers"))
  })
  server.maxConnections = channelsMax
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)))
    server.listen(port, host, () => {
      const address = server.address()
      if (address === null || typeof address === "string") return reject(new Error("a TCP server has a port"))
      resolve({
        host,
        port: address.port,
        [Symbol.asyncDispose]: () =>
          new Promise<void>((done) => {
            server.close(() => done())
            for (const socket of sockets) socket.destroy()
          }),
      })
    })
  })
}

function connect(host: string, port: number, timeoutMillis: number): Promise<ControlChannel> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host, port, noDelay: true, ...probes })
    const timer = setTimeout(() => {
      socket.destroy()
      reject(
        new KvError("KV_DEADLINE", {
          what: `${host}:${port} did not answer within ${Math.round(timeoutMillis)} ms`,
          next: "check that the peer runs and that nothing between drops its packets",
        }),
      )
    }, timeoutMillis)
    socket.once("error", (error) => {
      clearTimeout(timer)
      reject(
        new KvError("KV_PEER_UNREACHABLE", {
          what: `the agent at ${host}:${port} cannot be reached`,
          why: error.message,
          next: "check that it runs, and that host and port are right",
          cause: error,
        }),
      )
    })
    socket.once("connect", () => {
      clearTimeout(timer)
      resolve(channelOf(socket, "asks"))
    })
  })
}

/** @param side only the one who answers stops reading: if both did, both would wait for each other. */
function channelOf(socket: Socket, side: "asks" | "answers"): ControlChannel {
  let reason = "the peer closed the channel"
  socket.on("error", (error) => {
    reason = error.message
  })
  return {
    peer: `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`,
    peerHost: socket.remoteAddress ?? "",
    send: (bytes) => {
      if (socket.destroyed) return
      socket.write(bytes)
      if (socket.writableLength > unsentBytesMax) {
        reason = `the peer left ${socket.writableLength} bytes unread`
        socket.destroy()
      } else if (side === "answers" && socket.writableLength > unsentBytesEnough && !socket.isPaused()) {
        socket.pause()
        socket.once("drain", () => socket.resume())
      }
    },
    onBytes: (listener) => socket.on("data", listener),
    onClose: (listener) => socket.once("close", () => listener(reason)),
    close: () => {
      reason = "this side closed the channel"
      // What was sent last (a refusal, say) still goes out.
      socket.destroySoon()
    },
  }
}
