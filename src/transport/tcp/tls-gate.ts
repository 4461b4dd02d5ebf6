import type { Socket } from "node:net"
import { createServer, type Server, type TLSSocket, connect as tlsConnect } from "node:tls"
import type { MessagePort } from "node:worker_threads"
import { asKvError, KvError } from "../../errors/kv-error.ts"
import { sharedMillis } from "../../os/clock.ts"
import { listenError } from "../../os/listen-error.ts"
import type { ConnectCommand } from "./mover-messages.ts"
import { bridge } from "./tls-bridge.ts"
import type { GateCommand, GateEvent, GateStart } from "./tls-gate-messages.ts"
import { tlsKey, tlsOptions } from "./tls-options.ts"

/** Streams of one gate, both roles together. */
const streamsMax = 512
/** Callers in the middle of a handshake. */
const strangersMax = 64
/** A caller that has not proven itself by then is cut off. */
const handshakeMillis = 5000

/**
 * One rail's streams in TLS 1.3: it listens and connects, and hands each stream to the rail's mover in clear, as one
 * end of a socket pair.
 *
 * Both sides prove a session to each other by a key that was derived from it. There are no certificates, so the
 * machine's authorities have no say. It runs on the event loop of a thread of its own: payload is copied, in pieces of
 * a TLS record, and never stops for the main thread.
 */
export class TlsGate {
  readonly #port: MessagePort
  readonly #host: string
  readonly #server: Server
  readonly #keys = new Map<string, Uint8Array>()
  readonly #connecting = new Map<number, TLSSocket>()
  readonly #sockets = new Set<Socket>()
  readonly #strangers = new Set<Socket>()

  constructor(port: MessagePort, { host }: GateStart) {
    this.#port = port
    this.#host = host
    this.#server = createServer({
      ...tlsOptions,
      noDelay: true,
      handshakeTimeout: handshakeMillis,
      pskCallback: (_socket, identity) => this.#keys.get(identity) ?? null,
    })
    this.#server.on("connection", (socket: Socket) => this.#meet(socket))
    this.#server.on("secureConnection", (secure) => this.#accept(secure))
    // A handshake that failed: its socket is closed already, and nobody asked for it.
    this.#server.on("tlsClientError", () => {})
    this.#server.once("error", (error: NodeJS.ErrnoException) => {
      this.#emit({ type: "failed", error: listenError(error, host, 0).toJSON() })
    })
    port.on("message", (command: GateCommand) => this.#carryOut(command))
  }

  /** Starts to listen; `listening` or `failed` tells how that went. */
  open(): void {
    this.#server.listen(0, this.#host, () => {
      const address = this.#server.address()
      if (address === null || typeof address === "string") throw new Error("a TCP server has a port")
      this.#emit({ type: "listening", port: address.port })
    })
  }

  #emit(event: GateEvent): void {
    this.#port.postMessage(event)
  }

  #carryOut(command: GateCommand): void {
    if (command.type === "admit") {
      this.#keys.set(command.session, tlsKey(command.key))
      this.#emit({ type: "done", call: command.call })
    } else if (command.type === "dismiss") this.#keys.delete(command.session)
    else if (command.type === "connect") this.#connect(command)
    else if (command.type === "disconnect") this.#connecting.get(command.connection)?.destroy()
    else this.#stop()
  }

  /** A caller before its handshake. What is too much is closed: it does not wait, and takes no memory. */
  #meet(socket: Socket): void {
    if (this.#strangers.size >= strangersMax || this.#sockets.size >= streamsMax) {
      socket.destroy()
      return
    }
    this.#strangers.add(socket)
    this.#keep(socket)
    socket.once("close", () => this.#strangers.delete(socket))
  }

  #accept(secure: TLSSocket): void {
    this.#keep(secure)
    for (const stranger of this.#strangers) {
      if (stranger.remotePort === secure.remotePort && stranger.remoteAddress === secure.remoteAddress) {
        this.#strangers.delete(stranger)
      }
    }
    try {
      this.#emit({ type: "accepted", fd: bridge(secure) })
    } catch {
      // Out of descriptors: the caller is told by the end of its stream.
      secure.destroy()
    }
  }

  #connect(command: ConnectCommand): void {
    const { connection, host, port, session, key, deadlineMillis } = command
    const peer = `${host} port ${port}`
    if (this.#sockets.size >= streamsMax) {
      const what = `this rail already has ${streamsMax} streams`
      return this.#lost(connection, new KvError("KV_LIMIT", { what, next: "close some peers" }))
    }
    const secure = tlsConnect({
      ...tlsOptions,
      host,
      port,
      pskCallback: () => ({ psk: tlsKey(key), identity: session }),
      // Asked only about a peer that shows a certificate. None is trusted: whoever has no key is a stranger.
      checkServerIdentity: () => new Error("it showed a certificate and did not prove the session"),
    })
    secure.setNoDelay(true)
    this.#keep(secure)
    this.#connecting.set(connection, secure)
    let why: KvError | undefined
    const late = () => new KvError("KV_DEADLINE", { what: `no stream to ${peer} was up before the deadline` })
    const timer = setTimeout(
      () => {
        why = late()
        secure.destroy()
      },
      Math.max(0, Math.min(2 ** 30, deadlineMillis - sharedMillis())),
    )
    const failed = (error: NodeJS.ErrnoException): void => {
      why ??= handshakeError(peer, error)
      secure.destroy()
    }
    const ended = (): void => {
      clearTimeout(timer)
      this.#connecting.delete(connection)
      const what = `the stream to ${peer} ended before it was up`
      this.#lost(connection, why ?? new KvError("KV_PEER_LOST", { what }))
    }
    secure.on("error", failed)
    secure.once("close", ended)
    secure.once("secureConnect", () => {
      try {
        this.#emit({ type: "secured", command, fd: bridge(secure) })
      } catch (thrown) {
        why = asKvError(thrown, "KV_OS", `no stream to ${peer} could be made`)
        secure.destroy()
        return
      }
      clearTimeout(timer)
      this.#connecting.delete(connection)
      secure.off("close", ended)
    })
  }

  #lost(connection: number, error: KvError): void {
    this.#emit({ type: "lost", connection, express: false, error: error.toJSON() })
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once("close", () => this.#sockets.delete(socket))
  }

  #stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    // With the last handle the thread ends by itself, after all that it has said was sent.
    this.#port.close()
  }
}

/** What a failed handshake means to the one who connects. */
function handshakeError(peer: string, error: NodeJS.ErrnoException): KvError {
  const next = "check that the peer runs, and that nothing between blocks the port"
  const code = error.code ?? ""
  if (/ALERT/.test(code) || /certificate/.test(error.message)) {
    const what = `${peer} did not prove the session, or did not accept our proof of it`
    return new KvError("KV_PEER_UNTRUSTED", { what, why: error.message, cause: error })
  }
  if (/SSL|TLS|EPROTO/.test(code)) {
    const what = `${peer} does not speak TLS 1.3 as we do`
    return new KvError("KV_PEER_REFUSED", { what, why: error.message, next, cause: error })
  }
  if (code === "ECONNRESET") {
    const what = `${peer} ended the stream in the middle of the TLS handshake`
    return new KvError("KV_PEER_LOST", { what, why: error.message, next, cause: error })
  }
  return new KvError("KV_PEER_UNREACHABLE", {
    what: `cannot reach ${peer}`,
    why: `connect answered ${code || error.message}`,
    next,
    cause: error,
  })
}
