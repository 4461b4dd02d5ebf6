/** Another process with a verbs endpoint: `openVerbsRig` starts it, and this file is its program. */
import { fileURLToPath } from "node:url"
import { servePeer } from "../peer-orders.test.kit.ts"
import { PeerProcess } from "../peer-process.test.kit.ts"
import { mib, openRig, type Rig } from "../rdma/two-processes.test.kit.ts"
import type { Endpoint } from "../transport.ts"
import { createVerbs } from "./verbs.ts"

/** Bytes of the region on either side. */
export const bytes = 4 * mib

/** Another process, and this one connected to it over these devices: one rail for each. */
export const openVerbsRig = (near: readonly string[], far: readonly string[] = near): Promise<Rig> =>
  openRig(new PeerProcess(fileURLToPath(import.meta.url), { args: far }).opened(), open(near), bytes)

const open = (names: readonly string[]): Promise<Endpoint> =>
  createVerbs({ devices: names.map((device) => ({ device })), sliceBytes: 65536 }).open({
    host: "127.0.0.1",
    rails: 1,
  })

if (process.argv[1] === fileURLToPath(import.meta.url)) servePeer(await open(process.argv.slice(2)))
