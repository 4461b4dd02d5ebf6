import type { MessageIo } from "../../os/message-io.ts"

/** Most bytes and pieces offered to one call: what a socket on one machine holds, and little to list again after it. */
const bytesPerCall = 2 ** 19
const segmentsPerCall = 1024
/** Passed runs that are kept before they are forgotten together. */
const passedMax = 4096
/** Runs that a queue has room for at first; it grows, and keeps what it has. */
const roomAtFirst = 256

/** Where the next bytes of a stream come from or go to: runs of memory, eaten from the front. */
export class Segments {
  #addresses = new Float64Array(roomAtFirst)
  #lengths = new Float64Array(roomAtFirst)
  #first = 0
  #end = 0
  #bytes = 0
  /** Runs that were forgotten since the queue was empty. */
  #forgotten = 0

  /** Runs that have passed whole since the queue was empty. */
  get passed(): number {
    return this.#forgotten + this.#first
  }

  /** Bytes that still have to pass. */
  get bytes(): number {
    return this.#bytes
  }

  push(address: number, length: number): void {
    if (this.#end === this.#lengths.length) this.#grow()
    this.#addresses[this.#end] = address
    this.#lengths[this.#end++] = length
    this.#bytes += length
  }

  clear(): void {
    this.#first = 0
    this.#end = 0
    this.#bytes = 0
    this.#forgotten = 0
  }

  /** Puts the front of the queue into an empty message. */
  fill(io: MessageIo): void {
    io.clear()
    const end = Math.min(this.#end, this.#first + segmentsPerCall)
    for (let i = this.#first; i < end && io.bytes < bytesPerCall; i++) {
      io.add(this.#addresses[i]!, this.#lengths[i]!)
    }
  }

  /** Takes `count` passed bytes off the front. */
  advance(count: number): void {
    this.#bytes -= count
    let left = count
    while (left > 0) {
      const length = this.#lengths[this.#first]!
      if (left < length) {
        this.#addresses[this.#first]! += left
        this.#lengths[this.#first] = length - left
        return
      }
      left -= length
      this.#first += 1
    }
    if (this.#bytes === 0) this.clear()
    else if (this.#first >= passedMax) this.#forgetPassed()
  }

  /** A queue that never runs empty must not grow with all that has passed. */
  #forgetPassed(): void {
    this.#addresses.copyWithin(0, this.#first, this.#end)
    this.#lengths.copyWithin(0, this.#first, this.#end)
    this.#forgotten += this.#first
    this.#end -= this.#first
    this.#first = 0
  }

  #grow(): void {
    const [addresses, lengths] = [this.#addresses, this.#lengths]
    this.#addresses = new Float64Array(addresses.length * 2)
    this.#addresses.set(addresses)
    this.#lengths = new Float64Array(lengths.length * 2)
    this.#lengths.set(lengths)
  }

  /** Sends everything still expected into a sink instead: the old memory is not touched any more. */
  redirect(sink: number, sinkBytes: number): void {
    let left = this.#bytes
    this.clear()
    for (; left > 0; left -= sinkBytes) this.push(sink, Math.min(left, sinkBytes))
  }
}
