// Workload project_lifecycle: Projects are created, become Ready, are deleted and are gone.
//
// Open model (see lib/turn.js), each Project followed by a watch (see lib/follow.js).  OBJECTS (2)
// Secrets of OBJECT_BYTES are put into each Project, so that its deletion has something to clean
// up; DEADLINE_S is how long a Project may take to be Ready, and to be gone.
//
// It yields `project_ready`, `project_gone`, latencies of op=create, fill and delete, and counts of
// Projects created, deleted, never Ready and never gone.  It cannot see what a burst sees: arrivals
// are spread evenly, so Projects seldom wait for each other.

import { createAll, post } from './lib/api.js'
import { createAndFollow, deleteAndFollow } from './lib/follow.js'
import { arms, deadlineS, number, requestTimeoutS, seed } from './lib/settings.js'
import { connect, handleSummary, hash, openLoad, takeTurn } from './lib/turn.js'
import { ORGANIZATIONS, object, objectsOf, organization, payloadOf } from './lib/milo.js'

const OBJECTS = number('OBJECTS', 2)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')

// A Project that never becomes Ready is not deleted, so one of the two waits may be the longest.
export const options = openLoad(2 * deadlineS + (OBJECTS + 2) * requestTimeoutS + 1)
export { connect, handleSummary }

/** Make the Organization that owns the Projects, in every arm. */
export function setup() {
  const run = `life-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  createAll(arms.map((arm) => ({ arm, path: ORGANIZATIONS, object: organization(run) })))
  return { run }
}

/** @param {{run: string}} data */
export default function ({ run }) {
  const { arm, block } = takeTurn()
  const name = `${run}-${block}`
  if (!createAndFollow(arm, name, run)) return
  const path = objectsOf(name, 'secrets')
  for (let i = 0; i < OBJECTS; i++) {
    post(arm, path, object('secrets', `fill-${i}`, PAYLOAD), { op: 'fill', resource: 'secrets' })
  }
  deleteAndFollow(arm, name)
}
