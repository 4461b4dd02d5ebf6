/** `npm start`, `npm run bench`: sets up, then runs one command of the command line in this process. */

import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { root, setUp } from "./setup.mjs"

await setUp()
await import(pathToFileURL(join(root, "dist", "cli", "main.js")).href)
