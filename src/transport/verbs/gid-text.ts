/** What a GID is as an address. */
export type GidKind = "IPv4" | "global IPv6" | "link-local IPv6"

/** @param gid 32 hexadecimal digits. */
export function gidKind(gid: string): GidKind {
  if (gid.startsWith(mapped)) return "IPv4"
  return /^fe[89ab]/.test(gid) ? "link-local IPv6" : "global IPv6"
}

/** A GID as people write it: `::ffff:10.77.0.1`, `fe80::5054:ff:fe12:3456`. */
export function gidText(gid: string): string {
  if (gid.startsWith(mapped)) return `::ffff:${ipv4Of(gid)}`
  const groups = Array.from({ length: 8 }, (_, i) =>
    Number.parseInt(gid.slice(4 * i, 4 * i + 4), 16).toString(16),
  )
  const text = groups.join(":")
  // The longest run of zero groups, of two or more, is left out once.
  const runs = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].map(([run]) => run)
  const longest = runs.toSorted((a, b) => b.length - a.length)[0]
  if (longest === undefined) return text
  const at = text.indexOf(longest)
  return `${text.slice(0, at)}::${text.slice(at + longest.length).replace(/^:/, "")}`
}

/** The network that an address stands in, like `10.77.0.0/24`. `bits` counts from the start of the address itself. */
export function networkOf(gid: string, bits: number): string {
  const v4 = gid.startsWith(mapped)
  const kept = v4 ? 96 + bits : bits
  const masked = Array.from({ length: 32 }, (_, digit) => {
    const left = Math.max(0, Math.min(4, kept - 4 * digit))
    return (Number.parseInt(gid[digit]!, 16) & (0xf << (4 - left))).toString(16)
  }).join("")
  return `${v4 ? ipv4Of(masked) : gidText(masked)}/${bits}`
}

/** The IPv4 address in a mapped GID. */
export function ipv4Of(gid: string): string {
  return Array.from({ length: 4 }, (_, i) => Number.parseInt(gid.slice(24 + 2 * i, 26 + 2 * i), 16)).join(".")
}

const mapped = "00000000000000000000ffff"
