import { randomBytes } from "node:crypto"
import { KvError } from "../../errors/kv-error.ts"
import { monotonicClock } from "../../os/clock.ts"
import { closeFile, connectLocally, receiveFiles, sendBytes } from "../../os/local-sockets.ts"
import { sameProof, sessionProof } from "../session-proof.ts"
import type { Deadline, Session } from "../transport.ts"
import { encodeFrame, type Frame, nonceBytes } from "./frames.ts"
import { LocalSocket } from "./local-socket.ts"
import { BorrowedPage } from "./session-page.ts"

/** How soon a full queue of callers is tried again. */
const retryMillis = 5

/** What a borrower holds once the lender has let it in. */
export interface Borrowed {
  readonly socket: LocalSocket
  /** The second socket, which nobody reads in the background: files would be lost. Owned by the caller. */
  readonly filesFd: number
  readonly page: BorrowedPage
}

/**
 * Connects to a lender and proves the session, and has the lender prove it too: a local socket's name belongs to
 * whoever took it first.
 * @throws KvError KV_PEER_UNREACHABLE, KV_PEER_UNTRUSTED, KV_PEER_REFUSED, KV_DEADLINE, KV_WIRE_INVALID, KV_OS.
 */
export async function borrow(name: string, session: Session, deadline: Deadline): Promise<Borrowed> {
  const socket = LocalSocket.adopt(await connectInTime(name, deadline))
  let filesFd: number | undefined
  try {
    const frames = new Awaited(socket, deadline)
    socket.send({ kind: "call" })
    const greeting = await frames.next("greeting")
    const nonce = randomBytes(nonceBytes)
    const proof = sessionProof(session.key, "shm borrower 1", session.id, greeting.nonce, nonce)
    socket.send({ kind: "hello", session: session.id, nonce, proof })
    const admitted = await frames.next("admitted")
    const expected = sessionProof(session.key, "shm lender 1", session.id, nonce, greeting.nonce)
    if (!sameProof(admitted.proof, expected)) {
      throw new KvError("KV_PEER_UNTRUSTED", {
        what: `${socket.peerName} listens at the peer's address and does not know our session`,
        next: "the peer has ended, and somebody took its address: connect to it again",
      })
    }
    filesFd = await connectInTime(name, deadline)
    if (!sendBytes(filesFd, encodeFrame({ kind: "join", token: admitted.token }))) {
      throw lost(socket, "its second socket took no bytes")
    }
    await frames.next("ready")
    const page = takePage(filesFd, socket)
    frames.release()
    return { socket, filesFd, page }
  } catch (thrown) {
    socket.listener = undefined
    socket.close("this side gave up")
    if (filesFd !== undefined) closeFile(filesFd)
    throw thrown
  }
}

/** The page comes before the word that it is there, so there is nothing to wait for. */
function takePage(filesFd: number, socket: LocalSocket): BorrowedPage {
  const { files, dropped } = receiveFiles(filesFd, 1)
  try {
    if (files.length !== 1) {
      throw new KvError(dropped ? "KV_OS" : "KV_WIRE_INVALID", {
        what: `the session page of ${socket.peerName} did not come`,
        why: dropped ? "this process has no free file descriptor (EMFILE)" : "no file came with the message",
        next: dropped ? "raise the limit of open files (ulimit -n)" : "both sides must run kvferry",
      })
    }
    const page = new BorrowedPage(files[0]!, socket.peerName)
    if (page.valid) return page
    page[Symbol.dispose]()
    throw new KvError("KV_WIRE_INVALID", {
      what: `what ${socket.peerName} sent is no session page`,
      why: "it does not begin with its mark",
    })
  } finally {
    for (const file of files) closeFile(file)
  }
}

async function connectInTime(name: string, deadline: Deadline): Promise<number> {
  for (;;) {
    const fd = connectLocally(name)
    if (fd !== undefined) return fd
    if (performance.now() >= deadline) {
      throw new KvError("KV_DEADLINE", {
        what: `the local socket @${name} took no caller before the deadline`,
        why: "its queue of callers is full: the peer does not accept them",
        next: "check that the peer is not stopped or overloaded",
      })
    }
    await new Promise((resolve) => setTimeout(resolve, retryMillis))
  }
}

const lost = (socket: LocalSocket, why: string): KvError =>
  new KvError("KV_PEER_UNREACHABLE", { what: `${socket.peerName} did not let us in`, why })

/** Waits for one frame after the other until the deadline. */
class Awaited {
  readonly #socket: LocalSocket
  readonly #deadline: Deadline
  readonly #frames: Frame[] = []
  #closed: string | undefined
  #wake: (() => void) | undefined

  constructor(socket: LocalSocket, deadline: Deadline) {
    this.#socket = socket
    this.#deadline = deadline
    socket.listener = {
      frame: (frame) => {
        this.#frames.push(frame)
        this.#wake?.()
      },
      closed: (why) => {
        this.#closed = why
        this.#wake?.()
      },
    }
  }

  async next<Kind extends Frame["kind"]>(kind: Kind): Promise<Frame & { readonly kind: Kind }> {
    let late = false
    const expire = (): void => {
      late = true
      this.#wake?.()
    }
    const disarm = monotonicClock.after(this.#deadline - performance.now(), expire)
    try {
      while (this.#frames.length === 0 && this.#closed === undefined && !late) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      disarm()
    }
    const frame = this.#frames.shift()
    if (frame?.kind === kind) return frame as Frame & { readonly kind: Kind }
    if (frame?.kind === "refused") {
      throw new KvError("KV_PEER_UNTRUSTED", {
        what: `${this.#socket.peerName} does not know this session`,
        next: "connect to the peer again: it may have restarted",
      })
    }
    if (frame !== undefined) {
      throw new KvError("KV_WIRE_INVALID", {
        what: `${this.#socket.peerName} said "${frame.kind}", not "${kind}"`,
      })
    }
    if (this.#closed !== undefined) throw lost(this.#socket, this.#closed)
    throw new KvError("KV_DEADLINE", {
      what: `${this.#socket.peerName} did not say "${kind}" before the deadline`,
      next: "check that the peer is not stopped",
    })
  }

  /** The handshake is over. A frame that came too early is nothing that a lender says. */
  release(): void {
    this.#socket.listener = undefined
    if (this.#closed !== undefined) throw lost(this.#socket, this.#closed)
    const [early] = this.#frames
    if (early !== undefined) {
      throw new KvError("KV_WIRE_INVALID", {
        what: `${this.#socket.peerName} said "${early.kind}" before it was asked`,
      })
    }
  }
}
