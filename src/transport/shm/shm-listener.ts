import { randomBytes } from "node:crypto"
import { createServer, type Server, type Socket } from "node:net"
import { KvError } from "../../errors/kv-error.ts"
import { closeFile, listenLocally } from "../../os/local-sockets.ts"
import { sameProof, sessionProof } from "../session-proof.ts"
import type { Rights } from "../transport.ts"
import { type Frame, nonceBytes, tokenBytes } from "./frames.ts"
import { Lender, type LenderOwner } from "./lender.ts"
import { LocalSocket } from "./local-socket.ts"

/** A caller that has not proven itself by then is cut off. */
const authenticationMillis = 5000
/** Callers that may be unproven at once. */
const strangersMax = 64
/** Connections that one endpoint serves at once. */
export const lendersMax = 1024

/** A session that was admitted. */
export interface Admitted {
  readonly key: Uint8Array
  readonly rights: Rights
}

/** What a listener needs of its endpoint. */
export interface ListenerOwner extends LenderOwner {
  readonly sessions: ReadonlyMap<string, Admitted>
  readonly lenders: Set<Lender>
}

/** Lets borrowers in: they prove a session, then bring a second socket, over which the files go. */
export class ShmListener implements AsyncDisposable {
  readonly #server: Server
  readonly #owner: ListenerOwner
  readonly #strangers = new Set<LocalSocket>()
  /** Lenders that wait for their second socket, by the token that it must bring. */
  readonly #waiting = new Map<string, Lender>()

  private constructor(server: Server, owner: ListenerOwner) {
    this.#server = server
    this.#owner = owner
    server.on("connection", (socket: Socket) => this.#receive(LocalSocket.accepted(socket)))
  }

  /** @throws KvError KV_OS, KV_PORT_IN_USE. */
  static async open(name: string, owner: ListenerOwner): Promise<ShmListener> {
    const fd = listenLocally(name)
    const server = createServer()
    const listener = new ShmListener(server, owner)
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject)
        server.listen({ fd }, resolve)
      })
    } catch (thrown) {
      closeFile(fd)
      throw new KvError("KV_OS", { what: `cannot listen on the local socket @${name}`, cause: thrown })
    }
    // An accept that fails for want of descriptors is tried again by the event loop; there is nothing to do here.
    server.on("error", () => {})
    return listener
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stranger of this.#strangers) stranger.close("the endpoint was closed")
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  #receive(socket: LocalSocket): void {
    if (this.#strangers.size >= strangersMax) return socket.close("too many callers are unproven")
    this.#strangers.add(socket)
    const timer = setTimeout(
      () => socket.close("the caller did not prove itself in time"),
      authenticationMillis,
    )
    let nonce: Uint8Array | undefined
    const known = (): void => {
      this.#strangers.delete(socket)
      clearTimeout(timer)
    }
    socket.listener = {
      frame: (frame) => {
        if (frame.kind === "call" && nonce === undefined) {
          nonce = randomBytes(nonceBytes)
          socket.send({ kind: "greeting", nonce })
          return
        }
        known()
        this.#judge(socket, nonce, frame)
      },
      closed: known,
    }
  }

  /** What a caller says first decides what becomes of it. */
  #judge(socket: LocalSocket, nonce: Uint8Array | undefined, frame: Frame): void {
    if (frame.kind === "join" && nonce === undefined) {
      const token = Buffer.from(frame.token).toString("hex")
      const lender = this.#waiting.get(token)
      this.#waiting.delete(token)
      if (lender === undefined) socket.close("nobody waits for this token")
      else lender.join(socket)
    } else if (frame.kind === "hello" && nonce !== undefined) {
      const admitted = this.#owner.sessions.get(frame.session)
      const right =
        admitted !== undefined &&
        sameProof(
          frame.proof,
          sessionProof(admitted.key, "shm borrower 1", frame.session, nonce, frame.nonce),
        )
      if (right) this.#admit(socket, nonce, frame, admitted)
      else socket.farewell({ kind: "refused" }, "the caller did not prove a session that we admitted")
    } else socket.close(`a caller began with a frame "${frame.kind}"`)
  }

  #admit(
    socket: LocalSocket,
    nonce: Uint8Array,
    hello: Frame & { readonly kind: "hello" },
    admitted: Admitted,
  ): void {
    if (this.#owner.lenders.size >= lendersMax)
      return socket.close(`${lendersMax} connections are open already`)
    let lender: Lender
    try {
      lender = new Lender(this.#owner, socket, hello.session, admitted.rights)
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      return socket.close(thrown.message)
    }
    this.#owner.lenders.add(lender)
    const token = randomBytes(tokenBytes)
    const name = token.toString("hex")
    this.#waiting.set(name, lender)
    // A borrower that never brings its second socket is cut off like one that never proved itself.
    const timer = setTimeout(() => {
      if (this.#waiting.delete(name)) socket.close("the caller did not bring its second socket in time")
    }, authenticationMillis)
    void socket.gone.then(() => {
      clearTimeout(timer)
      this.#waiting.delete(name)
    })
    const proof = sessionProof(admitted.key, "shm lender 1", hello.session, hello.nonce, nonce)
    socket.send({ kind: "admitted", proof, token })
  }
}
