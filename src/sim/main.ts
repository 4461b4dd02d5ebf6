import { violationText } from "./promise-broken.ts"
import { playSchedule } from "./schedule.ts"

const [first, count] = [Number(process.argv[2] ?? 1), Number(process.argv[3] ?? 100)]
const began = performance.now()
let actions = 0
const ends = new Map<string, number>()
for (let seed = first; seed < first + count; seed++) {
  const result = await playSchedule({ seed })
  actions += result.actions
  for (const [how, n] of result.ends) ends.set(how, (ends.get(how) ?? 0) + n)
  if (count === 1) console.log(result.journal.join("\n"))
  if (result.violations.length > 0)
    console.log(seed, result.violations.slice(0, 2).map(violationText).join("\n   "))
}
const seconds = (performance.now() - began) / 1000
console.log(ends, (count / seconds) * 60, "per minute", actions / count, "actions each")
