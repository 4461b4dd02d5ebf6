/** `npm run sim`: sets up, then plays schedules of the simulation. `npm run sim -- --help` tells how. */

import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { root, setUp } from "./setup.mjs"

await setUp()
await import(pathToFileURL(join(root, "dist", "sim", "main.js")).href)
