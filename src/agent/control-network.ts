/** Where agents meet. `os/control-net.ts` has the real one; a simulation has another. */
export interface ControlNetwork {
  /**
   * Listens for peers; port 0 takes a free one.
   * @throws KvError KV_PORT_IN_USE, KV_OS.
   */
  listen(host: string, port: number, onChannel: (channel: ControlChannel) => void): Promise<ControlListener>
  /** @throws KvError KV_PEER_UNREACHABLE, KV_DEADLINE. */
  connect(host: string, port: number, timeoutMillis: number): Promise<ControlChannel>
}

export interface ControlListener extends AsyncDisposable {
  readonly host: string
  readonly port: number
}

/** A reliable, ordered stream of bytes to one peer. */
export interface ControlChannel {
  /** For messages to people: `host:port` of the other side. */
  readonly peer: string
  /** Numeric address of the other side. */
  readonly peerHost: string
  send(bytes: Uint8Array): void
  /** Called with whatever arrives, from the first byte on. Set once. */
  onBytes(listener: (bytes: Uint8Array) => void): void
  /** Called once when the channel has ended, with the reason. */
  onClose(listener: (why: string) => void): void
  close(): void
}

/** Time as the agent sees it: monotonic milliseconds, and a timer. */
export interface Clock {
  now(): number
  /** The time of day, in milliseconds since 1970: for receipts, never for deadlines. */
  wallMillis(): number
  /** Runs `action` once after `millis`. Returns what cancels it. */
  after(millis: number, action: () => void): () => void
}
