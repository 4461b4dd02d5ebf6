import type { Capability } from "../driver/protocol.ts"

/** What an engine cannot do that does not offer a capability. */
export const capabilityTexts: Readonly<Record<Capability, string>> = {
  read: "the target pulls",
  write: "the source pushes",
  pieces: "any bytes to any place, as lists of pieces",
  blocks: "sequences by block tables, lent for a time",
  notify: "a word for the other side with the end of a transfer",
  "peer-death": "an error, soon and by itself, when a peer dies",
  cancel: "a transfer that is taken back",
  deadline: "a transfer that ends by itself at its deadline",
  concurrent: "several transfers at the same time",
  threads: "posts from several threads at the same time",
  peers: "more than one peer",
  deregister: "memory that is taken back from peers",
  epochs: "a read that fails when its blocks were reused under way",
  integrity: "a read that fails when the source's bytes are not those that were lent",
  heads: "ranks that hold different heads",
  receipts: "a receipt of what moved",
  "refuses-paths": "a path that was asked for and is not there is refused",
}
