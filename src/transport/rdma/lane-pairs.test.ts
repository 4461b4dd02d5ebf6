import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type LanePair, pairLanes, type RailEnd, railWeights } from "./lane-pairs.ts"

const end = fc.record({
  link: fc.constantFrom("RoCE v2 over IPv4", "InfiniBand fe80::"),
  network: fc.constantFrom("10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"),
  rate: fc.constantFrom(1, 2, 4),
})
const side = fc.array(end, { minLength: 1, maxLength: 8 })
const names = (lanes: readonly LanePair[]): string[] =>
  lanes.map(({ localRail, remoteRail }) => `${localRail}-${remoteRail}`)
const alike = (count: number, change: (rail: number) => Partial<RailEnd> = () => ({})): RailEnd[] =>
  Array.from({ length: count }, (_, rail) => ({ link: "l", network: "n", rate: 1, ...change(rail) }))

test("every rail that can talk has a lane, no lane joins rails that cannot, and none is there twice", () => {
  fc.assert(
    fc.property(side, side, (local, remote) => {
      const lanes = pairLanes(local, remote)
      assert.equal(new Set(names(lanes)).size, lanes.length)
      for (const { localRail, remoteRail, weight } of lanes) {
        assert.equal(local[localRail]!.link, remote[remoteRail]!.link)
        assert.ok(weight > 0)
      }
      local.forEach(({ link }, rail) => {
        const can = remote.some((other) => other.link === link)
        assert.equal(
          lanes.some(({ localRail }) => localRail === rail),
          can,
        )
      })
      remote.forEach(({ link }, rail) => {
        const can = local.some((other) => other.link === link)
        assert.equal(
          lanes.some(({ remoteRail }) => remoteRail === rail),
          can,
        )
      })
      assert.deepEqual(
        lanes.map(({ localRail }) => localRail),
        lanes.map(({ localRail }) => localRail).toSorted((a, b) => a - b),
      )
      assert.ok(lanes.length <= local.length + remote.length)
    }),
    { numRuns: 1000 },
  )
})

test("a rail with a partner in its own network is joined to such a one by the side that chooses", () => {
  fc.assert(
    fc.property(side, side, (local, remote) => {
      if (local.length < remote.length) return
      const lanes = pairLanes(local, remote)
      local.forEach(({ link, network }, rail) => {
        if (!remote.some((other) => other.link === link && other.network === network)) return
        assert.ok(lanes.some(({ localRail, sameNetwork }) => localRail === rail && sameNetwork))
      })
    }),
  )
})

test("no lane asks more of a rail than it has, and the other side sees the same lanes", () => {
  fc.assert(
    fc.property(side, side, (local, remote) => {
      const lanes = pairLanes(local, remote)
      railWeights(lanes, local.length).forEach((weight, rail) => {
        assert.ok(weight <= local[rail]!.rate + 1e-9)
      })
      if (local.length === remote.length) return
      const theirs = pairLanes(remote, local)
      assert.deepEqual(
        theirs.map(({ localRail, remoteRail, weight }) => `${remoteRail}-${localRail} ${weight}`).toSorted(),
        lanes.map(({ localRail, remoteRail, weight }) => `${localRail}-${remoteRail} ${weight}`).toSorted(),
      )
    }),
  )
})

test("rails that are all alike get as many lanes as the wider side has rails, evenly", () => {
  for (let local = 1; local <= 8; local++) {
    for (let remote = 1; remote <= 8; remote++) {
      const lanes = pairLanes(alike(local), alike(remote))
      assert.equal(lanes.length, Math.max(local, remote))
      for (const key of ["localRail", "remoteRail"] as const) {
        const rails = key === "localRail" ? local : remote
        const loads = Array.from(
          { length: rails },
          (_, rail) => lanes.filter((lane) => lane[key] === rail).length,
        )
        assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `${local} and ${remote}: ${loads}`)
      }
    }
  }
  assert.deepEqual(names(pairLanes(alike(2), alike(3))), ["0-0", "0-2", "1-1"])
})

test("rails of separate networks are joined crosswise only where there is no other way", () => {
  const networks = (...list: string[]): RailEnd[] => alike(list.length, (rail) => ({ network: list[rail]! }))
  assert.deepEqual(names(pairLanes(networks("a", "b"), networks("b", "a"))), ["0-1", "1-0"])
  const lone = pairLanes(networks("a", "b"), networks("a"))
  assert.deepEqual(names(lone), ["0-0", "1-0"])
  assert.deepEqual(
    lone.map(({ sameNetwork }) => sameNetwork),
    [true, false],
  )
})

test("rails whose links do not fit get no lane, and a faster rail gets more", () => {
  assert.deepEqual(
    pairLanes(
      alike(2),
      alike(2, () => ({ link: "other" })),
    ),
    [],
  )
  const lanes = pairLanes(
    alike(2, (rail) => ({ rate: rail === 0 ? 1 : 4 })),
    alike(2, () => ({ rate: 4 })),
  )
  assert.deepEqual(railWeights(lanes, 3), [1, 4, 0])
})
