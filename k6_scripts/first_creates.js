// Workload first_creates: the first objects of a Project, created by many clients at once.
//
// setup() makes PROJECTS Projects in every arm and puts nothing into them.  Then, in one Project after
// the other, AT_ONCE (8) clients of every arm each create a Secret at the same moment.  ITERATIONS is
// PROJECTS times AT_ONCE.
//
// A server that keeps something for each Project, such as Milo's quota does, makes it at the first
// create; two that come at once may make it twice and lose one.  It yields latencies of op=create; what
// was lost shows in goroutines per Project.  It cannot see a leak of later creates: see object_fill.

import { sleep } from 'k6'
import { post } from './lib/api.js'
import { number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, secondsUntil, takeTask } from './lib/work.js'
import { makeProjects, object, objectsOf, payloadOf } from './lib/milo.js'

const AT_ONCE = number('AT_ONCE', 8)
const SPACING_S = number('SPACING_S', 1)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')

export const options = fixedWork(number('ITERATIONS'))
export { handleSummary }

/** Make the Projects, the same in every arm. */
export function setup() {
  const run = `first-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  return { names: makeProjects(run, number('PROJECTS')) }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, index } = takeTask()
  const at = Math.floor(index / AT_ONCE)
  const path = objectsOf(names[at % names.length], 'secrets')
  sleep(secondsUntil(SPACING_S * at)) // each client has one task, so all of a Project go together
  const tags = { op: 'create', resource: 'secrets' }
  post(arm, path, object('secrets', `load-${index}`, PAYLOAD), tags)
}
