/**
 * What the guest sees of the host: chosen folders, read-only at their own paths, and copies of a few files of /etc.
 * The user's home, /tmp, /var and the rest of /etc are not among them.
 */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { Trouble } from "./trouble.mjs"

/** Where programs and their libraries lie; a link among them is remade as a link. */
const systemFolders = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"]

/** What programs read of /etc: no key, no password, no name of the host or its network. */
const systemFiles = [
  "alternatives",
  "iproute2",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "libibverbs.d",
  "localtime",
  "nsswitch.conf",
  "os-release",
  "protocols",
  "services",
  "ssl/openssl.cnf",
]

const ownFiles = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  "etc/group": "root:x:0:\nnogroup:x:65534:\n",
  "etc/hostname": "lab\n",
  "etc/hosts": "127.0.0.1 localhost lab\n::1 localhost\n",
}

const ownFolders = ["dev", "proc", "sys", "run", "root", "tmp", "mnt", "etc", "var/tmp"]

/**
 * The mounts of the guest, outermost first.
 *
 * `folder` is read-only. `layer` is a folder whose writes go to the guest's memory, so that a command may build there.
 * `hide` is an empty folder over one that is there.
 *
 * @param checkout the repository's root
 * @param extra further folders, absolute
 */
export function viewOf(checkout, extra, runtime = process.execPath) {
  const folders = [
    ...systemFolders.filter((path) => existsSync(path) && !lstatSync(path).isSymbolicLink()),
    ...runtimeFolders(runtime),
    ...extra.map(existingFolder),
  ]
  // A checkout may borrow its packages from elsewhere.
  const packages = join(checkout, "node_modules")
  if (existsSync(packages)) folders.push(realpathSync(packages))
  const layers = [realpathSync(checkout)]
  const mounts = [
    ...outermost(folders, layers).map((path) => ({ kind: "folder", path })),
    ...layers.map((path) => ({ kind: "layer", path })),
  ].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  // History and the remote's credentials are no business of a test.
  const history = join(layers[0], ".git")
  if (existsSync(history) && statSync(history).isDirectory()) mounts.push({ kind: "hide", path: history })
  return mounts
}

/** Whether the guest sees a path, by the mounts alone. */
export function sees(mounts, path) {
  return mounts.some(({ kind, path: seen }) => kind !== "hide" && within(path, seen))
}

/**
 * Writes the root of the guest before its mounts, into `folder`: folders, links, and the files of /etc.
 *
 * @param system where the host's system lies; another folder in tests
 */
export function writeSkeleton(folder, system = "/") {
  for (const name of ownFolders) mkdirSync(join(folder, name), { recursive: true })
  for (const path of systemFolders) {
    const from = join(system, path)
    if (existsSync(from) && lstatSync(from).isSymbolicLink())
      symlinkSync(readlinkSync(from), join(folder, path))
  }
  for (const name of systemFiles) {
    const from = join(system, "etc", name)
    if (!existsSync(from)) continue
    mkdirSync(dirname(join(folder, "etc", name)), { recursive: true })
    cpSync(from, join(folder, "etc", name), { recursive: true, verbatimSymlinks: true })
  }
  for (const [name, text] of Object.entries(ownFiles)) writeFileSync(join(folder, name), text)
}

/** Node, and npm beside it. Not its whole prefix, which may be a folder of the user's home. */
function runtimeFolders(runtime) {
  const folder = dirname(realpathSync(runtime))
  const modules = join(dirname(folder), "lib", "node_modules")
  return existsSync(modules) ? [folder, modules] : [folder]
}

function existingFolder(path) {
  if (!existsSync(path) || !statSync(path).isDirectory())
    throw new Trouble(2, {
      what: `--view ${JSON.stringify(path)} is no folder of this machine`,
      next: "name one that is",
    })
  const real = realpathSync(path)
  if (real === "/" || ownFolders.includes(real.slice(1)))
    throw new Trouble(2, {
      what: `--view ${real} would lie over what the guest has there itself`,
      next: "name a folder in it",
    })
  return real
}

/** Without those that lie in another one, or in a layer. */
function outermost(folders, layers) {
  const unique = [...new Set(folders)]
  return unique.filter(
    (path) =>
      !unique.some((other) => other !== path && within(path, other)) &&
      !layers.some((layer) => within(path, layer)),
  )
}

function within(path, folder) {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`)
}

/** A line a mount, for the guest's shell: kind, tab, path. */
export function viewLines(mounts) {
  for (const { path } of mounts)
    if (/[\t\n,:\\]/.test(path))
      throw new Trouble(2, {
        what: `the guest cannot mount ${JSON.stringify(path)}`,
        why: "a comma, colon, backslash, tab or line break in a path would change the mount's options",
        next: "move it to a path without them",
      })
  return mounts.map(({ kind, path }) => `${kind}\t${path}\n`).join("")
}
