// Workload first_touch: the first LIST of a type in a Project, against later ones.
//
// A control plane opens its storage of a (Project, type) when somebody asks for it; until that is
// ready, a LIST is answered with 429 and a time to come back.  setup() makes ITERATIONS Projects in
// every arm.  An iteration takes a Project that nobody has used, lists its Secrets through the watch
// cache (no limit) until that is answered, and then lists them LATER (5) times more; the same with
// ConfigMaps.  One Project at a time in every arm, or AT_ONCE.
//
// It yields `first_touch`, from the first request to the first good answer, latencies of
// op=first_list (good answers only) and later_list, and `retries`.  It cannot tell whether the
// server's own controllers touched a Project before: in Milo they do, soon after it is Ready.

import { list, now, timing } from './lib/api.js'
import { deadlineS, number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, takeTask } from './lib/work.js'
import { RESOURCES, makeProjects, objectsOf } from './lib/milo.js'

const LATER = number('LATER', 5)
const firstTouch = timing('first_touch')

export const options = fixedWork(number('AT_ONCE', 1))
export { handleSummary }

/** Make the Projects, the same in every arm. */
export function setup() {
  const run = `touch-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  return { names: makeProjects(run, number('ITERATIONS')) }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, index } = takeTask()
  for (const resource of RESOURCES) {
    const path = objectsOf(names[index], resource)
    const since = now()
    const first = list(arm, path, { op: 'first_list', resource }, deadlineS)
    firstTouch(now() - since, first.status !== 200)
    for (let i = 0; i < LATER; i++) list(arm, path, { op: 'later_list', resource })
  }
}
