import { type Frame, type FrameOpener, FrameReader, type FrameSealer, sealTagBytes } from "./control-frame.ts"

/** Seals nothing: the parts as they are, and a tag of zeros. For what has to do with frames and not with ciphers. */
export const noSealer: FrameSealer = {
  seal(_header, parts, into) {
    let at = 0
    for (const part of parts) {
      into.set(part, at)
      at += part.byteLength
    }
  },
}

/** Opens what `noSealer` did not seal. */
export const noOpener: FrameOpener = {
  open: (_header, sealed, split) => [
    sealed.subarray(0, split),
    sealed.subarray(split, sealed.byteLength - sealTagBytes),
  ],
}

/** A reader behind the handshake. */
export function openReader(): FrameReader {
  const reader = new FrameReader()
  reader.open(noOpener)
  return reader
}

/** The frames that are complete with `chunk`. */
export function framesOf(reader: FrameReader, chunk: Uint8Array): Frame[] {
  reader.push(chunk)
  const frames: Frame[] = []
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame)
  return frames
}
