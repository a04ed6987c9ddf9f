// Workload churn: cycles of create, use, delete; what grows from cycle to cycle is a leak.
//
// ITERATIONS cycles in every arm, one after the other, the arms side by side, with as many of the
// PROJECTS Projects in each.  In a cycle they are created one after the other and followed until
// Ready, each gets OBJECTS (2) Secrets and ConfigMaps which are read once, WATCHES (0) watches of each
// resource are held for a second, and then all are deleted and followed until they are gone.  At the
// end of each cycle the counter `cycles` marks the time, and nothing is asked for REST_S (2.5) seconds,
// in which the probe that takes series looks.
//
// It yields `project_ready`, `project_gone`, counts of Projects, and the marks.  It cannot tell a
// leak from a cache that fills: a slope that ends after some cycles is none, so look at the series.

import http from 'k6/http'
import { sleep } from 'k6'
import { Counter } from 'k6/metrics'
import { authorization, get, post } from './lib/api.js'
import { createAndFollow, deleteAndFollow } from './lib/follow.js'
import { number, requestTimeoutS, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, takeTask } from './lib/work.js'
import { RESOURCES, object, objectsOf, payloadOf } from './lib/milo.js'

// Every server under test has this Organization.  One of our own would stay, and look like a leak.
const OWNER = 'milo-perf'
const CYCLES = number('ITERATIONS')
const PROJECT_COUNT = number('PROJECTS') / CYCLES // of one cycle
if (!Number.isInteger(PROJECT_COUNT)) throw new Error(`PROJECTS is not a multiple of the ${CYCLES} cycles`)
const OBJECTS = number('OBJECTS', 2)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const WATCHES = number('WATCHES', 0)
const WATCH_S = 1
const REST_S = number('REST_S', 2.5)
const cycles = new Counter('cycles')

export const options = fixedWork(1)
export { handleSummary }

/** Return the beginning of the names of all Projects. */
export function setup() {
  return { run: `churn-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}` }
}

/** @param {{run: string}} data */
export default function ({ run }) {
  const { arm, index } = takeTask()
  const names = Array.from({ length: PROJECT_COUNT }, (_, i) => `${run}-${index * PROJECT_COUNT + i}`)
  const ready = names.filter((name) => createAndFollow(arm, name, OWNER))
  for (const name of ready) RESOURCES.forEach((resource) => use(arm, name, resource))
  if (WATCHES > 0 && ready.length > 0) watch(arm, ready)
  for (const name of names) deleteAndFollow(arm, name)
  cycles.add(1)
  sleep(REST_S)
}

/**
 * Create some objects and read each once.
 * @param {import('./lib/settings.js').Arm} arm
 * @param {string} name of the Project
 * @param {'secrets' | 'configmaps'} resource
 */
function use(arm, name, resource) {
  const path = objectsOf(name, resource)
  for (let i = 0; i < OBJECTS; i++) {
    post(arm, path, object(resource, `use-${i}`, PAYLOAD), { op: 'fill', resource })
    get(arm, `${path}/use-${i}`, { op: 'get', resource })
  }
}

/**
 * Hold watches in all Projects at once, until the server ends them after WATCH_S.
 * @param {import('./lib/settings.js').Arm} arm
 * @param {string[]} names of the Projects
 */
function watch(arm, names) {
  const paths = names.flatMap((name) => RESOURCES.map((resource) => objectsOf(name, resource)))
  const watches = paths.flatMap((path) => Array.from({ length: WATCHES }, () => ({
    method: 'GET',
    url: `${arm.url}${path}?watch=true&timeoutSeconds=${WATCH_S}`,
    params: {
      headers: authorization(arm),
      tags: { op: 'watch', name: 'watch' },
      timeout: `${requestTimeoutS + WATCH_S}s`,
    },
  })))
  http.batch(watches)
}
