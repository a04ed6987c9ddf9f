// Workload garbage_collection: Projects full of objects are deleted, all at once.
//
// setup() makes ITERATIONS Projects in every arm, each with OBJECTS Secrets and as many ConfigMaps
// of OBJECT_BYTES, of which FINALIZERS (0) of each kind have a finalizer that nobody removes.  Then
// all are deleted at the same moment, and each is followed by a watch (see lib/follow.js) until it
// is gone, or for DEADLINE_S, while GET_RATE (5) reads per second of another Project go on in
// every arm for GET_S (8) seconds.
//
// It yields `project_gone`, the latency of op=delete and op=get_during, and counts of Projects
// deleted and never gone.  What is left in etcd is told by a probe.  It cannot see a leftover in a
// control plane through the API: asking a deleted Project's control plane could bring it back.

import exec from 'k6/execution'
import { get } from './lib/api.js'
import { deleteAndFollow } from './lib/follow.js'
import { arms, number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { armOf, besideAtRate, fixedWork, scenarioName, takeTask } from './lib/work.js'
import { fill, makeProjects, payloadOf } from './lib/milo.js'

const PROJECT_COUNT = number('ITERATIONS')
const OBJECTS = number('OBJECTS', 10)
const FINALIZERS = number('FINALIZERS', 0)
const GET_RATE = number('GET_RATE', 5)
const GET_S = number('GET_S', 8)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const BYSTANDER = '/projects/milo-perf-first/control-plane/api/v1/namespaces/default'

/** @type {Record<string, object>} */
const beside = {}
// Half a period apart, and which arm is first depends on the seed: of two reads that are sent at the
// same moment the second waits for the first.
const inTurn = hash(seed, 1) % 2 ? arms : [...arms].reverse()
for (const [place, arm] of inTurn.entries()) {
  const reads = besideAtRate('read', GET_RATE, GET_S)
  const startMs = 1000 * parseFloat(reads.startTime) + (1000 * place) / (arms.length * GET_RATE)
  beside[scenarioName(arm, 'beside')] = { ...reads, startTime: `${Math.round(startMs)}ms` }
}

export const options = fixedWork(PROJECT_COUNT, beside)
export { handleSummary }

/** Make the Projects and their objects, the same in every arm. */
export function setup() {
  const run = `gc-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const names = makeProjects(run, PROJECT_COUNT)
  fill(names, OBJECTS, PAYLOAD, FINALIZERS)
  return { names }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, index } = takeTask()
  deleteAndFollow(arm, names[index])
}

/** Read an object of a Project that stays. */
export function read() {
  const arm = armOf(exec.scenario.name)
  exec.vu.tags.arm = arm.name
  exec.vu.tags.phase = 'load'
  exec.vu.tags.beside = 'yes'
  get(arm, BYSTANDER, { op: 'get_during', resource: 'namespaces' })
}
