import { randomBytes } from "node:crypto"
import { type AddressInfo, createServer, connect as netConnect, type Server, type Socket } from "node:net"
import { asKvError, KvError } from "../../errors/kv-error.ts"
import { listenError } from "../../os/listen-error.ts"
import { sameProof, sessionProof } from "../session-proof.ts"
import type { Deadline, Rights, Session } from "../transport.ts"
import type { RailCard } from "./driver.ts"
import { SideChannel } from "./side-channel.ts"
import { nonceBytes, readSideMessage, type SideMessage, sideVersion } from "./side-messages.ts"

/** A caller that has not proven itself by then is cut off. */
const authenticationMillis = 5000
/** Callers that may be unproven at once. */
const strangersMax = 64
/** Connections that one endpoint serves at once. */
const channelsMax = 1024

/** What a side tells of itself to a peer that has proven itself. */
export interface Introduction {
  readonly rails: readonly RailCard[]
  /** Longest registration: longer regions have several keys for each rail. */
  readonly partBytes: number
}

/** What the caller learns. */
export interface Welcome extends Introduction {
  readonly channel: SideChannel
  readonly rights: Rights
}

/** What a listener needs of its endpoint. */
export interface IntroductionOwner {
  readonly sessions: ReadonlyMap<string, { readonly key: Uint8Array; readonly rights: Rights }>
  introduce(): Introduction
  /** A caller has proven a session. */
  welcomed(channel: SideChannel, session: string, rights: Rights): void
}

const callerPurpose = "rdma caller 1"
const listenerPurpose = "rdma listener 1"

/** Lets callers in who prove a session: one TCP connection each, which lives as long as their RDMA connection. */
export class IntroductionListener implements AsyncDisposable {
  readonly port: number
  readonly #server: Server
  readonly #owner: IntroductionOwner
  readonly #sockets: Set<Socket>
  #strangers = 0

  private constructor(server: Server, owner: IntroductionOwner, sockets: Set<Socket>) {
    this.#server = server
    this.#owner = owner
    this.#sockets = sockets
    this.port = (server.address() as AddressInfo).port
    server.on("connection", (socket) => this.#receive(socket))
  }

  /** @throws KvError KV_OS, KV_PORT_IN_USE. */
  static async open(host: string, owner: IntroductionOwner): Promise<IntroductionListener> {
    const server = createServer({ noDelay: true })
    server.maxConnections = channelsMax
    const sockets = new Set<Socket>()
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, 0)))
      server.listen(0, host, resolve)
    })
    server.removeAllListeners("error").on("error", () => {})
    return new IntroductionListener(server, owner, sockets)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      for (const socket of this.#sockets) socket.destroy()
    })
  }

  #receive(socket: Socket): void {
    const channel = new SideChannel(socket)
    this.#sockets.add(socket)
    socket.on("close", () => this.#sockets.delete(socket))
    if (this.#strangers >= strangersMax) return channel.close("too many callers are unproven")
    this.#strangers += 1
    const timer = setTimeout(
      () => channel.close("the caller did not prove itself in time"),
      authenticationMillis,
    )
    let known = false
    const leave = (): void => {
      if (known) return
      known = true
      this.#strangers -= 1
      clearTimeout(timer)
    }
    void channel.ended.then(leave)
    const nonce = randomBytes(nonceBytes)
    channel.listen((message) => {
      leave()
      this.#judge(channel, nonce, readSideMessage(message))
    })
    channel.send({
      type: "greeting",
      version: sideVersion,
      nonce: nonce.toString("hex"),
    } satisfies SideMessage)
  }

  #judge(channel: SideChannel, nonce: Uint8Array, hello: SideMessage): void {
    if (hello.type !== "hello") return channel.close(`a caller began with "${hello.type}"`)
    const theirs = Buffer.from(hello.nonce, "hex")
    const admitted = this.#owner.sessions.get(hello.session)
    const right =
      admitted !== undefined &&
      sameProof(
        Buffer.from(hello.proof, "hex"),
        sessionProof(admitted.key, callerPurpose, hello.session, nonce, theirs),
      )
    if (!right) {
      channel.send({ type: "refused" } satisfies SideMessage)
      return channel.close("the caller did not prove a session that we admitted")
    }
    const { rails, partBytes } = this.#owner.introduce()
    const { rights, key } = admitted
    const proof = Buffer.from(sessionProof(key, listenerPurpose, hello.session, theirs, nonce)).toString(
      "hex",
    )
    channel.send({ type: "welcome", proof, rights, rails, partBytes } satisfies SideMessage)
    this.#owner.welcomed(channel, hello.session, rights)
  }
}

/**
 * Calls a peer, and proves the session both ways.
 * @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_PEER_LOST, KV_DEADLINE, KV_WIRE_INVALID.
 */
export function introduce(
  host: string,
  port: number,
  session: Session,
  deadline: Deadline,
): Promise<Welcome> {
  const ours = randomBytes(nonceBytes)
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host, port, noDelay: true })
    const channel = new SideChannel(socket)
    const fail = (error: KvError): void => {
      clearTimeout(timer)
      channel.close(error.what)
      reject(error)
    }
    const timer = setTimeout(
      () => fail(new KvError("KV_DEADLINE", { what: `${host}:${port} did not introduce itself in time` })),
      Math.max(1, Math.min(2 ** 30, deadline - performance.now())),
    )
    let connected = false
    socket.once("connect", () => {
      connected = true
    })
    void channel.ended.then((why) => {
      if (!connected)
        fail(
          new KvError("KV_PEER_UNREACHABLE", {
            what: `the RDMA endpoint at ${host}:${port} cannot be reached`,
            why,
          }),
        )
      else fail(new KvError("KV_PEER_LOST", { what: `${host}:${port} ended its introduction`, why }))
    })
    let nonce: Uint8Array | undefined
    channel.listen((value) => {
      try {
        const message = readSideMessage(value)
        if (message.type === "greeting" && nonce === undefined) {
          if (message.version !== sideVersion) {
            throw new KvError("KV_PEER_REFUSED", {
              what: `the peer speaks version ${message.version} beside its lanes, and this side ${sideVersion}`,
              next: "run the same version of kvferry on both sides",
            })
          }
          nonce = Buffer.from(message.nonce, "hex")
          const proof = sessionProof(session.key, callerPurpose, session.id, nonce, ours)
          channel.send({
            type: "hello",
            session: session.id,
            nonce: ours.toString("hex"),
            proof: Buffer.from(proof).toString("hex"),
          } satisfies SideMessage)
        } else if (message.type === "welcome" && nonce !== undefined) {
          const expected = sessionProof(session.key, listenerPurpose, session.id, ours, nonce)
          if (!sameProof(Buffer.from(message.proof, "hex"), expected))
            throw untrusted("the peer could not prove the session")
          clearTimeout(timer)
          const { rights, rails, partBytes } = message
          // What comes with it is for whoever takes the channel over.
          channel.listen(undefined)
          resolve({ channel, rights, rails, partBytes })
        } else if (message.type === "refused")
          throw untrusted("the peer does not know this session, or not this key")
        else throw new KvError("KV_WIRE_INVALID", { what: `the peer began with "${message.type}"` })
      } catch (thrown) {
        fail(asKvError(thrown, "KV_INTERNAL", "the introduction failed by a mistake of ours"))
      }
    })
  })
}

const untrusted = (what: string): KvError =>
  new KvError("KV_PEER_UNTRUSTED", {
    what,
    next: "check that both sides were given the same grant, and that it has not ended",
  })
