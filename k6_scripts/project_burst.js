// Workload project_burst: many Projects at once.
//
// ITERATIONS Projects in every arm, in ROUNDS (1) bursts of the same size that begin ROUND_S (6)
// seconds apart; all Projects of a burst are created at the same moment, in all arms.  Each is
// followed by a watch (see lib/follow.js) until it is Ready, or for DEADLINE_S.  The Projects
// stay, so that the probes can tell what one costs.
//
// It yields `project_ready`, the latency of op=create, and counts of Projects created and never
// Ready.  It cannot see what a Project costs that is used, nor how one ends.

import { sleep } from 'k6'
import { createAll } from './lib/api.js'
import { createAndFollow } from './lib/follow.js'
import { arms, number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, takeTask, secondsUntil } from './lib/work.js'
import { ORGANIZATIONS, organization } from './lib/milo.js'

const ROUNDS = number('ROUNDS', 1)
const ROUND_S = number('ROUND_S', 6)
const SIZE = Math.ceil(number('ITERATIONS') / ROUNDS)

export const options = fixedWork(SIZE)
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
  sleep(secondsUntil(Math.floor(index / SIZE) * ROUND_S))
  createAndFollow(arm, `${run}-${index}`, run)
}
