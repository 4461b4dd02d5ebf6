import { type ProcessIdentity, thisProcess } from "../../os/process-identity.ts"
import type { EndpointAddress } from "../transport.ts"

/** Where an endpoint's beacon lies. */
export interface CmaAddress extends ProcessIdentity {
  readonly beacon: number
  /** 32 hexadecimal digits, new for each endpoint: what lies there later is not it. */
  readonly token: string
}

/** The address of this process's beacon, for its card. */
export function addressOf(beacon: number, token: string): EndpointAddress {
  return { transport: "cma", ...thisProcess(), beacon, token }
}

/** A peer's address from its card, checked: it crossed a wire. */
export function parseAddress(address: EndpointAddress): CmaAddress | undefined {
  const { machine, pidNamespace, pid, startTicks, beacon, token } = address
  const count = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
  if (typeof machine !== "string" || machine === "" || !count(pidNamespace) || !count(startTicks))
    return undefined
  if (!count(pid) || pid < 1 || pid >= 2 ** 31 || !count(beacon) || beacon < 1) return undefined
  if (typeof token !== "string" || !/^[0-9a-f]{32}$/.test(token)) return undefined
  return { machine, pidNamespace, pid, startTicks, beacon, token }
}
