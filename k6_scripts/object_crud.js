// Workload object_crud: Secrets and ConfigMaps of a few Projects are created, read, listed,
// changed and deleted.
//
// Open model (see lib/turn.js).  PROJECTS Projects, each with OBJECTS objects of each kind (50) so
// that a list has work; OBJECT_BYTES (1000) of data in each; a list every LIST_EVERY blocks (5).
// An iteration begins no further request once REQUEST_TIMEOUT_S of it are over.
//
// It yields latencies of op=create, get, list, update and delete, in steady state: what a first
// touch costs is paid in setup().  It cannot see more Projects than it makes, nor watches.

import { del, get, list, post, put } from './lib/api.js'
import { number, seed } from './lib/settings.js'
import { connect, handleSummary, hash, inTime, openLoad, takeTurn } from './lib/turn.js'
import { RESOURCES, fill, makeProjects, object, objectsOf, payloadOf } from './lib/milo.js'

const PROJECT_COUNT = number('PROJECTS')
const OBJECTS = number('OBJECTS', 50)
const LIST_EVERY = number('LIST_EVERY', 5)
const OBJECT_BYTES = number('OBJECT_BYTES', 1000)
const BEFORE = payloadOf(OBJECT_BYTES, 'A')
const AFTER = payloadOf(OBJECT_BYTES, 'B')

export const options = openLoad()
export { connect, handleSummary }

/** Make the Projects, the same in every arm, and return their names. */
export function setup() {
  const run = `crud-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const names = makeProjects(run, PROJECT_COUNT)
  fill(names, OBJECTS, BEFORE)
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
  if (post(arm, path, created, { op: 'create', resource }).status !== 201 || !inTime()) return
  const shown = get(arm, `${path}/load-${block}`, { op: 'get', resource })
  if (block % LIST_EVERY === 0 && inTime()) list(arm, `${path}?limit=100`, { op: 'list', resource })
  if (shown.status === 200 && inTime()) change(arm, `${path}/load-${block}`, shown, resource)
  if (inTime()) del(arm, `${path}/load-${block}`, { op: 'delete', resource })
}

/**
 * Write an object back with other data.
 * @param {import('./lib/settings.js').Arm} arm
 * @param {string} path of the object
 * @param {import('k6/http').RefinedResponse<'text'>} shown the object as it was read
 * @param {'secrets' | 'configmaps'} resource
 */
function change(arm, path, shown, resource) {
  /** @type {any} */
  const changed = shown.json()
  changed.data.payload = AFTER
  put(arm, path, changed, { op: 'update', resource })
}
