import type { ControlChannel, ControlNetwork } from "../agent/control-network.ts"

/** A network whose links can be cut: nothing is closed and nothing is told, bytes just do not arrive any more. */
export interface Cuttable {
  readonly network: ControlNetwork
  /** From now on nothing goes in either direction, on links that are there and on new ones. */
  cut(): void
  /** New links work again; the old ones stay cut, as what was sent on them is lost. */
  mend(): void
}

/** Cuts the links that this side opens over `inner`. */
export function cuttable(inner: ControlNetwork): Cuttable {
  const open = new Set<{ cut: boolean }>()
  let cut = false
  return {
    network: {
      listen: (...how) => inner.listen(...how),
      connect: async (...how) => {
        const link = { cut }
        open.add(link)
        return linked(await inner.connect(...how), link)
      },
    },
    cut() {
      cut = true
      for (const link of open) link.cut = true
    },
    mend() {
      cut = false
    },
  }
}

function linked(inner: ControlChannel, link: { readonly cut: boolean }): ControlChannel {
  return {
    peer: inner.peer,
    peerHost: inner.peerHost,
    send: (bytes) => {
      if (!link.cut) inner.send(bytes)
    },
    onBytes: (listener) =>
      inner.onBytes((bytes) => {
        if (!link.cut) listener(bytes)
      }),
    onClose: (listener) => inner.onClose(listener),
    close: () => inner.close(),
  }
}
