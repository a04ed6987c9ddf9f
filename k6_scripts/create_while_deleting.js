// Workload create_while_deleting: does a deletion of Projects delay the creation of others?
//
// ITERATIONS is twice the number of Projects of a round, in every arm.  In the first round, Projects
// are created SPACING_S (0.5) seconds apart, and each gets OBJECTS Secrets.  The second round begins
// DURING_S (10) seconds after the first: with the same spacing, each of these Projects is deleted, and
// at the same moment another one is created.  All are followed by watches (see lib/follow.js).
//
// It yields `project_ready` of op=quiet (first round) and of op=during (second round), `project_gone`,
// and counts of Projects created, deleted, never Ready and never gone, the latter by op too.  It cannot
// tell a controller that waits from a server that is busy: compare the CPU time of the server.

import exec from 'k6/execution'
import { sleep } from 'k6'
import { createAll, post } from './lib/api.js'
import { createAndFollow, deleteAndFollow } from './lib/follow.js'
import { arms, number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, secondsUntil, takeTask } from './lib/work.js'
import { ORGANIZATIONS, object, objectsOf, organization, payloadOf } from './lib/milo.js'

const ROUND = Math.floor(number('ITERATIONS') / 2)
const OBJECTS = number('OBJECTS', 5)
const SPACING_S = number('SPACING_S', 0.5)
const DURING_S = number('DURING_S', 10)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')

export const options = fixedWork(2 * ROUND)
export { handleSummary }

/** Make the Organization that owns the Projects, in every arm. */
export function setup() {
  const run = `burst-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  createAll(arms.map((arm) => ({ arm, path: ORGANIZATIONS, object: organization(run) })))
  return { run }
}

/** @param {{run: string}} data */
export default function ({ run }) {
  const { arm, index } = takeTask()
  const name = `${run}-${index}`
  const startS = SPACING_S * (index % ROUND)
  const isFirst = index < ROUND
  exec.vu.tags.op = isFirst ? 'quiet' : 'during'
  sleep(secondsUntil(isFirst ? startS : DURING_S + startS))
  if (!createAndFollow(arm, name, run) || !isFirst) return
  const path = objectsOf(name, 'secrets')
  for (let i = 0; i < OBJECTS; i++) {
    post(arm, path, object('secrets', `fill-${i}`, PAYLOAD), { op: 'fill', resource: 'secrets' })
  }
  sleep(secondsUntil(DURING_S + startS))
  deleteAndFollow(arm, name)
}
