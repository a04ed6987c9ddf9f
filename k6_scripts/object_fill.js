// Workload object_fill: Projects are filled with Secrets and ConfigMaps, as fast as it goes.
//
// setup() makes PROJECTS Projects in every arm.  Then CLIENTS (8) clients of every arm create
// ITERATIONS objects in all, half Secrets and half ConfigMaps of OBJECT_BYTES, in the Projects in
// turn; an iteration is one object.  Every PAGE (100) objects, a client lists one page of a Project,
// from its beginning or from where the page before ended.
//
// Closed: a slow server gets less load per second, so the time of the whole is `span`, and latencies
// are those of CLIENTS requests at once.  It yields latencies of op=create and list_page, and the
// counter `objects_created`.  It cannot see how a server fares at a given rate: see object_crud.

import { Counter } from 'k6/metrics'
import { get, post } from './lib/api.js'
import { number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, takeTask } from './lib/work.js'
import { RESOURCES, fill, makeProjects, object, objectsOf, payloadOf } from './lib/milo.js'

const PROJECT_COUNT = number('PROJECTS')
const PAGE = number('PAGE', 100)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const created = new Counter('objects_created')

/**
 * Where the next page of each kind in each Project begins; of this VU alone.
 * @type {Record<string, string>}
 */
const next = {}

export const options = fixedWork(number('CLIENTS', 8))
export { handleSummary }

/** Make the Projects with one object of each kind, the same in every arm. */
export function setup() {
  const run = `fill-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const names = makeProjects(run, PROJECT_COUNT)
  fill(names, 1, PAYLOAD)
  return { names }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, index } = takeTask()
  const resource = RESOURCES[index % RESOURCES.length]
  const name = names[Math.floor(index / RESOURCES.length) % names.length]
  const path = objectsOf(name, resource)
  const made = post(arm, path, object(resource, `load-${index}`, PAYLOAD), { op: 'create', resource })
  if (made.status === 201) created.add(1)
  if (index % PAGE === PAGE - 1) page(arm, path, resource)
}

/**
 * List one page, and remember where the next one begins.
 * @param {import('./lib/settings.js').Arm} arm
 * @param {string} path of all objects of this kind in a Project
 * @param {'secrets' | 'configmaps'} resource
 */
function page(arm, path, resource) {
  const key = `${arm.name} ${path}`
  const from = next[key] ? `&continue=${encodeURIComponent(next[key])}` : ''
  const shown = get(arm, `${path}?limit=${PAGE}${from}`, { op: 'list_page', resource })
  next[key] = shown.status === 200 ? String(shown.json('metadata.continue') || '') : ''
}
