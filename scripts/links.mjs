/** The documents' links: every one that stays in the repository leads somewhere, and every file that is named is there. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { filesBelow, root } from "./setup.mjs"

const pages = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
const folders = ["docs", "examples", "models", "tools"]
/** Dated: what they name was there then. */
const records = /^docs\/benchmarks\/\d/

/** What is wrong, one line each. A file may be named by the end of its path alone. */
export function brokenLinks() {
  const documents = [
    ...pages,
    ...folders
      .flatMap(filesBelow)
      .filter(ours)
      .filter((file) => file.endsWith(".md")),
  ]
  const sources = ["src", "scripts", "tools", "examples"].flatMap(filesBelow).filter(ours)
  const isThere = (file) => sources.some((source) => `/${source}`.endsWith(`/${file}`))
  return documents.flatMap((document) => {
    const text = readFileSync(join(root, document), "utf8")
    const links = [...text.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link)
    const wrong = links.filter((link) => !resolves(link, document)).map((link) => `${document}: no ${link}`)
    if (records.test(document)) return wrong
    const files = [...text.matchAll(/`(\w[\w./-]*\.(?:ts|mjs|c|py))`/g)].map(([, file]) => file)
    const gone = files.filter((file) => !isThere(file))
    return [...wrong, ...gone.map((file) => `${document}: names ${file}, which is not there`)]
  })
}

const ours = (file) => !file.includes("node_modules/")

function resolves(link, document) {
  if (/^[a-z]+:/.test(link)) return true
  const [path, anchor] = link.split("#")
  const target = path === "" ? document : relative(root, join(root, dirname(document), path))
  if (!existsSync(join(root, target))) return false
  return anchor === undefined || !target.endsWith(".md") || anchorsOf(target).has(anchor)
}

/** The anchors that a page's headings have where it is shown. */
function anchorsOf(page) {
  const text = readFileSync(join(root, page), "utf8").replaceAll(/^```[\s\S]*?^```/gm, "")
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .toLowerCase()
        .replaceAll(/[^\p{Letter}\p{Number} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  )
}
