// Workload capacity: one build is filled with more and more, and probed at each size.
//
// MODE `projects` and `objects` fill: what has the numbers from FROM on is made, ITERATIONS things in
// all, by FILLERS (20) VUs as fast as they can, because how much there is counts here and not how
// fast it came.  A Project counts as filled when a watch has said Ready (see lib/follow.js) and a
// first Secret is in it, so that every Project is in use; objects are Secrets and ConfigMaps by
// turns, as many in each of PROJECTS Projects.  DEADLINE_S is how long one may take.
//
// MODE `probe` is an open load (see lib/turn.js): an object is created, read, listed with up to 99
// others, changed and deleted, each time in one of PROJECTS (1) Projects that is drawn anew.

import { Counter } from 'k6/metrics'
import { sleep } from 'k6'
import { createAll, del, get, list, post, put } from './lib/api.js'
import { createAndFollow } from './lib/follow.js'
import { arms, number, seed } from './lib/settings.js'
import { connect, handleSummary, hash, inTime, openLoad, takeTurn } from './lib/turn.js'
import { fixedWork, takeTask } from './lib/work.js'
import { ORGANIZATIONS, RESOURCES, object, objectsOf, organization, payloadOf } from './lib/milo.js'

const MODE = __ENV.MODE || 'probe'
const OWNER = 'capacity'
const PROJECT_COUNT = number('PROJECTS', 1)
const FROM = number('FROM', 0)
const BEFORE = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const AFTER = payloadOf(number('OBJECT_BYTES', 1000), 'B')
const ATTEMPTS = 20
const WAIT_S = 0.25
const filled = new Counter('filled')

/** @type {Record<string, () => void>} */
const MODES = { probe, projects: fillProject, objects: fillObject }
if (!MODES[MODE]) throw new Error(`MODE is ${MODE}: it must be ${Object.keys(MODES).join(' or ')}`)

const FILLERS = number('FILLERS', 20)
export const options = MODE === 'probe' ? openLoad() : fixedWork(FILLERS)
export { connect, handleSummary }

/** Make the Organization that owns the Projects. */
export function setup() {
  if (MODE !== 'projects' || FROM > 0) return
  createAll(arms.map((arm) => ({ arm, path: ORGANIZATIONS, object: organization(OWNER) })))
}

export default function () {
  MODES[MODE]()
}

function fillProject() {
  const { arm, index } = takeTask()
  const name = nameOf(FROM + index)
  const isReady = createAndFollow(arm, name, OWNER)
  const first = object('secrets', 'first', BEFORE)
  if (isReady && isFilled(arm, objectsOf(name, 'secrets'), first)) filled.add(1)
}

function fillObject() {
  const { arm, index } = takeTask()
  const number = FROM + Math.floor(index / PROJECT_COUNT)
  const resource = RESOURCES[number % RESOURCES.length]
  const path = objectsOf(nameOf(index % PROJECT_COUNT), resource)
  if (isFilled(arm, path, object(resource, `fill-${number}`, BEFORE))) filled.add(1)
}

/**
 * Create an object, and tell whether it is there; a Project may need a moment before its first.
 * @param {import('./lib/settings.js').Arm} arm
 * @param {string} path
 * @param {object} made
 */
function isFilled(arm, path, made) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const { status } = post(arm, path, made, { op: 'fill', resource: 'objects' })
    if (status === 201 || (status === 409 && attempt > 1)) return true
    sleep(WAIT_S)
  }
  return false
}

function probe() {
  const { arm, block } = takeTurn()
  const resource = RESOURCES[block % RESOURCES.length]
  const path = objectsOf(nameOf(hash(seed, block) % PROJECT_COUNT), resource)
  const name = `probe-${seed}-${block}`
  const made = object(resource, name, BEFORE)
  if (post(arm, path, made, { op: 'create', resource }).status !== 201 || !inTime()) return
  const shown = get(arm, `${path}/${name}`, { op: 'get', resource })
  if (inTime()) list(arm, `${path}?limit=100`, { op: 'list', resource })
  if (shown.status === 200 && inTime()) {
    /** @type {any} */
    const changed = shown.json()
    changed.data.payload = AFTER
    put(arm, `${path}/${name}`, changed, { op: 'update', resource })
  }
  if (inTime()) del(arm, `${path}/${name}`, { op: 'delete', resource })
}

/**
 * Return the name of a Project.
 * @param {number} index from 0
 */
function nameOf(index) {
  return `capacity-${index}`
}
