// Workload noisy_neighbour: steady tenants, while others make a burst.
//
// Open model (see lib/turn.js): as object_crud, in PROJECTS Projects with OBJECTS (20) objects of
// each kind.  In the second half of the load a neighbour works beside it in every arm, as fast as it
// goes: it creates BURST (8) Projects at once (NOISE=projects, the default), or BURST objects in one
// Project by 4 clients (NOISE=objects).
//
// It yields latencies of op=create_quiet, get_quiet and delete_quiet of the first half, and the same
// with `_noisy` of the second.  The second half lasts longer than the noise of a fast server: the
// tail (p95, p99) shows it, the median need not.

import exec from 'k6/execution'
import { del, get, post } from './lib/api.js'
import { arms, durationS, number, required, seed, warmupS } from './lib/settings.js'
import { connect, handleSummary, hash, inTime, openLoad, takeTurn } from './lib/turn.js'
import { armOf, scenarioName } from './lib/work.js'
import {
  RESOURCES,
  fill,
  makeProjects,
  newProjects,
  object,
  objectsOf,
  payloadOf,
  project,
} from './lib/milo.js'

const BURST = number('BURST', 8)
const NOISE = __ENV.NOISE || 'projects'
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const CLIENTS = NOISE === 'projects' ? BURST : 4
const NOISY_S = warmupS + durationS / 2

if (!['projects', 'objects'].includes(NOISE)) throw new Error(`NOISE is no noise: ${NOISE}`)

const load = openLoad()
const startS = Number(load.scenarios.load.startTime.replace('s', '')) + NOISY_S

/** @type {Record<string, object>} */
const scenarios = { ...load.scenarios }
for (const arm of arms) {
  scenarios[scenarioName(arm, 'noise')] = {
    executor: 'shared-iterations',
    exec: 'noise',
    startTime: `${Math.round(startS * 1000)}ms`,
    vus: Math.min(CLIENTS, BURST),
    iterations: BURST,
    maxDuration: `${Math.ceil(durationS / 2)}s`,
    gracefulStop: '30s',
  }
}
export const options = { ...load, scenarios }
export { connect, handleSummary }

/** Make the tenants, and one Project for the neighbour, the same in every arm. */
export function setup() {
  required('PROJECTS')
  const run = `noise-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const [neighbour, ...names] = makeProjects(run, number('PROJECTS') + 1)
  fill(names, number('OBJECTS', 20), PAYLOAD)
  fill([neighbour], 1, PAYLOAD)
  return { run, names, neighbour }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, block } = takeTurn()
  const half = exec.scenario.progress * (warmupS + durationS) < NOISY_S ? 'quiet' : 'noisy'
  const resource = RESOURCES[block % RESOURCES.length]
  const path = objectsOf(names[Math.floor(block / RESOURCES.length) % names.length], resource)
  const name = `load-${block}`
  const made = post(arm, path, object(resource, name, PAYLOAD), { op: `create_${half}`, resource })
  if (made.status !== 201 || !inTime()) return
  get(arm, `${path}/${name}`, { op: `get_${half}`, resource })
  if (inTime()) del(arm, `${path}/${name}`, { op: `delete_${half}`, resource })
}

/**
 * Do one part of what the neighbour does.
 * @param {{run: string, neighbour: string}} data
 */
export function noise({ run, neighbour }) {
  const arm = armOf(exec.scenario.name)
  const index = exec.scenario.iterationInTest
  exec.vu.tags.arm = arm.name
  exec.vu.tags.phase = 'noise'
  if (NOISE === 'projects') {
    post(arm, newProjects(run), project(`${run}-n${index}`, run), { op: 'noise', resource: 'projects' })
  } else {
    const made = object('secrets', `noise-${index}`, PAYLOAD)
    post(arm, objectsOf(neighbour, 'secrets'), made, { op: 'noise', resource: 'secrets' })
  }
}
