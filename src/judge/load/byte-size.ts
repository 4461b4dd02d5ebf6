import { KvError } from "../../errors/kv-error.ts"

const factors: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  K: 2 ** 10,
  KiB: 2 ** 10,
  M: 2 ** 20,
  MiB: 2 ** 20,
  G: 2 ** 30,
  GiB: 2 ** 30,
}

/**
 * A size in bytes as people write it: 65536, 64K, 64KiB, 1M. K, M and G are powers of 1024.
 * @param option for the error.
 * @throws KvError KV_USAGE; also for "64KB", which is 64,000 to some and 65,536 to others.
 */
export function parseByteSize(text: string, option: string): number {
  const [, digits, unit] = /^(\d+)\s*([A-Za-z]*)$/.exec(text.trim()) ?? []
  const factor = unit === undefined ? undefined : factors[unit]
  const bytes = Number(digits) * (factor ?? Number.NaN)
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes
  throw new KvError("KV_USAGE", {
    what: `${option} does not understand ${JSON.stringify(text.slice(0, 40))}`,
    why: "a size is a whole number of bytes, with K or KiB, M or MiB, G or GiB behind it (powers of 1024)",
    next: "write 65536, 64K or 64KiB, say",
  })
}
