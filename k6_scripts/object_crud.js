// Workload object_crud: Secrets and ConfigMaps of a few Projects are created, read, listed,
// changed and deleted.
//
// Open model (see lib/turn.js).  PROJECTS Projects (3), each with PREFILL objects of each kind
// (50) so that a list has work; OBJECT_BYTES (1000) of data in each; a list every LIST_EVERY
// blocks (5); HOLD_S (1.5): see openLoad.

import { createAll, del, get, list, post, put } from './lib/api.js'
import { arms, number, seed } from './lib/settings.js'
import { connect, handleSummary, hash, openLoad, takeTurn } from './lib/turn.js'
import {
  ORGANIZATIONS,
  PROJECTS,
  object,
  objectsOf,
  organization,
  payloadOf,
  project,
  waitReady,
} from './lib/milo.js'

const PROJECT_COUNT = number('PROJECTS', 3)
const PREFILL = number('PREFILL', 50)
const LIST_EVERY = number('LIST_EVERY', 5)
const OBJECT_BYTES = number('OBJECT_BYTES', 1000)
const BEFORE = payloadOf(OBJECT_BYTES, 'A')
const AFTER = payloadOf(OBJECT_BYTES, 'B')
const RESOURCES = ['secrets', 'configmaps']
const BATCH = 20

export const options = openLoad(number('HOLD_S', 1.5))
export { connect, handleSummary }

/** Make the Projects, the same in every arm, and return their names. */
export function setup() {
  const run = `crud-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const names = Array.from({ length: PROJECT_COUNT }, (_, i) => `${run}-${i}`)
  createAll(arms.map((arm) => ({ arm, path: ORGANIZATIONS, object: organization(run) })))
  for (const name of names) {
    createAll(arms.map((arm) => ({ arm, path: PROJECTS, object: project(name, run) })))
  }
  waitReady(names)
  for (const name of names) RESOURCES.forEach((resource) => fill(name, resource))
  return { names }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, block } = takeTurn()
  const first = hash(seed, -1) // each launch begins elsewhere; from there on, in turn
  const resource = RESOURCES[(first + block) % RESOURCES.length]
  const name = names[(first + Math.floor(block / RESOURCES.length)) % names.length]
  const path = objectsOf(name, resource)
  const created = object(resource, `load-${block}`, BEFORE)
  if (post(arm, path, created, { op: 'create', resource }).status !== 201) return
  const shown = get(arm, `${path}/load-${block}`, { op: 'get', resource })
  if (block % LIST_EVERY === 0) list(arm, `${path}?limit=100`, { op: 'list', resource })
  if (shown.status === 200) change(arm, `${path}/load-${block}`, shown, resource)
  del(arm, `${path}/load-${block}`, { op: 'delete', resource })
}

function change(arm, path, shown, resource) {
  const changed = shown.json()
  changed.data.payload = AFTER
  put(arm, path, changed, { op: 'update', resource })
}

/** Create objects in a Project of every arm, the arms in turn, and list them once. */
function fill(name, resource) {
  const path = objectsOf(name, resource)
  const creations = Array.from({ length: PREFILL }, (_, i) => i).flatMap((i) =>
    arms.map((arm) => ({ arm, path, object: object(resource, `fill-${i}`, BEFORE) })),
  )
  // The first alone: it makes the server open the storage of this kind in this Project.
  createAll(creations.splice(0, arms.length))
  while (creations.length > 0) createAll(creations.splice(0, BATCH))
  for (const arm of arms) list(arm, `${path}?limit=100`, { op: 'setup', resource })
}
