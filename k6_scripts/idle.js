// Workload idle: what Projects cost that nobody uses.
//
// setup() makes PROJECTS Projects in every arm, and waits SETTLE_S (10) seconds.  Then nothing is
// asked for DURATION_S seconds, but one cheap request at the beginning and one at the end, which are
// the span that the probes report on: CPU, requests and writes to etcd.
//
// It cannot see what comes less often than the span is long: of Milo's own, some checks run every
// few minutes.

import { sleep } from 'k6'
import { get } from './lib/api.js'
import { durationS, number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, takeTask } from './lib/work.js'
import { makeProjects } from './lib/milo.js'

export const options = fixedWork(1)
export { handleSummary }

/** Make the Projects, the same in every arm, and let them settle. */
export function setup() {
  const run = `idle-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  makeProjects(run, number('PROJECTS'))
  sleep(number('SETTLE_S', 10))
}

/** Ask for the version, wait, and ask again. */
export default function () {
  const { arm } = takeTask()
  get(arm, '/version', { op: 'version', resource: 'version' })
  sleep(durationS)
  get(arm, '/version', { op: 'version', resource: 'version' })
}
