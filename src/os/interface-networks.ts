import { networkInterfaces } from "node:os"

/** How many bits of one of this machine's addresses name its network; undefined for an address that is not ours. */
export function prefixBits(address: string): number | undefined {
  for (const addresses of Object.values(networkInterfaces())) {
    const cidr = addresses?.find((entry) => entry.address === address)?.cidr
    if (typeof cidr === "string") return Number(cidr.split("/")[1])
  }
  return undefined
}
