// Workload discovery: clients ask a Project's control plane which APIs it has.
//
// Open model (see lib/turn.js).  PROJECTS Projects, asked in turn.
//
// It yields latencies of op=groups and op=resources, in steady state.  It cannot see what the first
// question to a Project costs: setup() asks it.

import { get } from './lib/api.js'
import { arms, number, seed } from './lib/settings.js'
import { connect, handleSummary, hash, inTime, openLoad, takeTurn } from './lib/turn.js'
import { makeProjects } from './lib/milo.js'

export const options = openLoad()
export { connect, handleSummary }

/** Make the Projects, the same in every arm, ask each once, and return their names. */
export function setup() {
  const run = `discovery-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const names = makeProjects(run, number('PROJECTS'))
  for (const name of names) for (const arm of arms) ask(arm, name)
  return { names }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, block } = takeTurn()
  ask(arm, names[block % names.length])
}

/**
 * @param {import('./lib/settings.js').Arm} arm
 * @param {string} name of the Project
 */
function ask(arm, name) {
  const root = `/projects/${name}/control-plane`
  get(arm, `${root}/apis`, { op: 'groups', resource: 'apis' })
  if (inTime()) get(arm, `${root}/api/v1`, { op: 'resources', resource: 'api' })
}
