/** A block with wrong bytes, beside what had to be there. */
export interface WrongBytesHere {
  readonly layer: number
  readonly block: number
  /** Bytes from the start of the layer's region. */
  readonly offset: number
  readonly expected: Uint8Array
  readonly found: Uint8Array
}

/** The first block of a run that was wrong, and whose it is. */
export interface WrongBlock extends WrongBytesHere {
  readonly agent: string
}
