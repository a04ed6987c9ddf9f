// Workload isolation: what steady tenants notice of one tenant that does far more than they do.
//
// Open model (see lib/turn.js): an iteration reads an object in one of PROJECTS Projects, which have
// OBJECTS (20) of each kind.  Every WRITE_EVERY (3) blocks it then creates another and deletes it.  The
// read comes first, so it is sent at its time however slow the server is: a read that waited for a
// create would begin when the server is free again.  Beside this a neighbour, another user with a
// Project of its own, sends NOISE_RATE operations per second to each arm from NOISE_CLIENTS (8) clients:
//
// NOISE=objects    the creation of an object, READS (3) reads of it, and its deletion
// NOISE=projects   the creation of a Project
// NOISE=watches    the creation and deletion of an object that WATCHES (80) watches show
// NOISE=lists      a list of all its NOISE_OBJECTS (300) objects
// NOISE=deletes    the deletion of an object
//
// The load is made of windows of WINDOW_S (1) seconds: one without noise, and one in which the
// neighbour of one arm works, for each arm.  Such blocks come in pairs, the second in reverse order,
// so that a drift of the machine cancels.  A client that is late skips operations.
//
// The tag `op` says what an arm had: create_quiet, create_noisy (its own neighbour) or create_beside
// (the other arm's: what both share, such as processors), and the same of get and delete.  Requests
// of the first SETTLE_S (0.2) seconds of a window have `_settling`.  Counters: noise_operations,
// and noise_refused for those with a status of 400 and up or no answer.

import exec from 'k6/execution'
import http from 'k6/http'
import { Counter } from 'k6/metrics'
import { sleep } from 'k6'
import { authorization, createAll, del, failSetup, get, post } from './lib/api.js'
import { arms, durationS, number, requestTimeoutS, required, seed, warmupS } from './lib/settings.js'
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

/**
 * @typedef {import('./lib/settings.js').Arm} Arm
 * @typedef {{names: string[], neighbour: string, run: string}} Prepared
 * @typedef {{noisy: string, fromS: number, toS: number}} Window in seconds from the start of the load
 */

const KINDS = ['objects', 'projects', 'watches', 'lists', 'deletes']
const NOISE = __ENV.NOISE || 'objects'
const NOISE_RATE = number('NOISE_RATE', 20)
const CLIENTS = number('NOISE_CLIENTS', 8)
const NOISE_OBJECTS = number('NOISE_OBJECTS', 300)
const WATCHES = number('WATCHES', 80)
const WATCHES_OF_ONE = 50 // of one client: k6 sends so many requests to a host at once
const OBJECTS = number('OBJECTS', 20)
const READS = number('READS', 3)
const WRITE_EVERY = number('WRITE_EVERY', 3)
const WINDOW_S = number('WINDOW_S', 1)
const SETTLE_S = number('SETTLE_S', 0.2)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const QUIET = 'quiet'
const BLOCK = [QUIET, ...arms.map(({ name }) => name)]
const WINDOWS = Math.ceil(durationS / WINDOW_S)
const WATCHERS = NOISE === 'watches' ? Math.ceil(WATCHES / WATCHES_OF_ONE) : 0
const OTHER_USER = 'milo-perf-neighbour'
const LOAD_GROUP = 'milo-perf:load'

if (!KINDS.includes(NOISE)) throw new Error(`NOISE is none of ${KINDS.join(', ')}: ${NOISE}`)
if (WINDOW_S <= SETTLE_S) throw new Error(`WINDOW_S is not above SETTLE_S: ${WINDOW_S}`)

const load = openLoad()

/** @type {Record<string, object>} */
const scenarios = { ...load.scenarios }
for (const arm of arms) {
  scenarios[scenarioName(arm, 'noise')] = {
    executor: 'per-vu-iterations',
    exec: 'noise',
    startTime: load.scenarios.load.startTime,
    vus: CLIENTS + WATCHERS,
    iterations: 1,
    maxDuration: load.scenarios.load.duration,
    gracefulStop: `${Math.ceil(requestTimeoutS) + 1}s`,
  }
}
export const options = { ...load, scenarios }
export { connect, handleSummary }

const operations = new Counter('noise_operations')
const refused = new Counter('noise_refused')

/** Make the Projects of the tenants and of the neighbour, the same in every arm. */
export function setup() {
  required('PROJECTS')
  const run = `isolation-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const [neighbour, ...names] = makeProjects(run, number('PROJECTS') + 1)
  fill([...names, neighbour], OBJECTS, PAYLOAD)
  const path = objectsOf(neighbour, 'secrets')
  for (const arm of arms) {
    const { status } = http.get(`${arm.url}${path}?limit=1`, paramsOf(arm, 'get', 'secrets'))
    if (status !== 200) failSetup([arm], `the neighbour may not list Secrets: status ${status}`)
  }
  const count = { lists: NOISE_OBJECTS, deletes: mostOperations() }[NOISE] || 0
  createAll(
    Array.from({ length: count }, (_, i) => object('secrets', `noise-${i}`, PAYLOAD)).flatMap((made) =>
      arms.map((arm) => ({ arm, path, object: made })),
    ),
  )
  return { run, names, neighbour }
}

/** @param {Prepared} data */
export default function ({ names }) {
  const { arm, block } = takeTurn()
  const resource = RESOURCES[block % RESOURCES.length]
  const path = objectsOf(names[Math.floor(block / RESOURCES.length) % names.length], resource)
  get(arm, `${path}/fill-${hash(seed, block) % OBJECTS}`, { op: op('get', arm), resource })
  if (block % WRITE_EVERY !== 0 || !inTime()) return
  const name = `load-${block}`
  const made = post(arm, path, object(resource, name, PAYLOAD), { op: op('create', arm), resource })
  if (made.status === 201 && inTime()) del(arm, `${path}/${name}`, { op: op('delete', arm), resource })
}

/**
 * Do all that one client of the neighbour does.
 * @param {Prepared} data
 */
export function noise(data) {
  const arm = armOf(exec.scenario.name)
  exec.vu.tags.arm = arm.name
  exec.vu.tags.phase = 'noise'
  refused.add(0) // so that it is there when nothing is refused
  const client = exec.scenario.iterationInTest
  if (client < WATCHERS) return watch(arm, data, client)
  const everyS = CLIENTS / NOISE_RATE
  let number = client - WATCHERS
  for (const { fromS, toS } of windowsOf(arm)) {
    for (let atS = fromS + (client - WATCHERS) / NOISE_RATE; atS < toS; atS += everyS) {
      const waitS = atS - nowS()
      if (waitS < -everyS) continue // too late
      if (waitS > 0) sleep(waitS)
      operate(arm, data, number)
      number += CLIENTS
    }
  }
}

/**
 * @param {Arm} arm
 * @param {Prepared} data
 * @param {number} number of the operation: no other of this arm has it
 */
function operate(arm, { run, neighbour }, number) {
  const path = objectsOf(neighbour, 'secrets')
  const made = object('secrets', `neighbour-${number}`, PAYLOAD)
  const one = `${path}/neighbour-${number}`
  operations.add(1)
  switch (NOISE) {
    case 'projects':
      return send(arm, 'POST', newProjects(run), 'projects', project(`${run}-n${number}`, run))
    case 'lists':
      return send(arm, 'GET', path, 'secrets', null, 'list')
    case 'deletes':
      return send(arm, 'DELETE', `${path}/noise-${number}`, 'secrets')
    case 'objects':
      send(arm, 'POST', path, 'secrets', made)
      for (let read = 0; read < READS; read++) send(arm, 'GET', one, 'secrets')
      return send(arm, 'DELETE', one, 'secrets')
    default: // watches
      send(arm, 'POST', path, 'secrets', made)
      return send(arm, 'DELETE', one, 'secrets')
  }
}

/**
 * Keep watches open in each noisy window; the server ends them, in whole seconds.
 * @param {Arm} arm
 * @param {Prepared} data
 * @param {number} client
 */
function watch(arm, { neighbour }, client) {
  const count = Math.min(WATCHES_OF_ONE, WATCHES - client * WATCHES_OF_ONE)
  for (const { fromS, toS } of windowsOf(arm)) {
    if (nowS() < fromS) sleep(fromS - nowS())
    const lastsS = Math.round(toS - nowS())
    if (lastsS < 1) continue
    operations.add(count)
    const path = `${objectsOf(neighbour, 'secrets')}?watch=true&resourceVersion=0`
    const url = `${arm.url}${path}&timeoutSeconds=${lastsS}`
    const params = { ...paramsOf(arm, 'watch', 'secrets'), timeout: `${lastsS + requestTimeoutS}s` }
    const requests = Array.from({ length: count }, () => ({ method: 'GET', url, params }))
    for (const response of http.batch(requests)) if (isRefused(response)) refused.add(1)
  }
}

/**
 * Send one request as the neighbour, who does not come back where the server says "later".
 * @param {Arm} arm
 * @param {string} method
 * @param {string} path
 * @param {string} resource
 * @param {object | null} [body]
 * @param {string} [verb]
 */
function send(arm, method, path, resource, body = null, verb = method.toLowerCase()) {
  const text = body && JSON.stringify(body)
  if (isRefused(http.request(method, arm.url + path, text, paramsOf(arm, verb, resource)))) refused.add(1)
}

/**
 * Return parameters that make a request one of another user: the server shares its capacity among
 * users.  Webhooks of Milo would ask who that is, so with them the load's own user is the neighbour.
 * @param {Arm} arm
 * @param {string} verb
 * @param {string} resource
 * @returns {import('k6/http').Params}
 */
function paramsOf(arm, verb, resource) {
  const other = { 'Impersonate-User': OTHER_USER, 'Impersonate-Group': LOAD_GROUP }
  return {
    headers: {
      ...authorization(arm),
      ...(__ENV.ORGANIZATION_PATH ? {} : other),
      'Content-Type': 'application/json',
    },
    tags: { op: `${verb}_noise`, resource, name: `${verb}_noise ${resource}` },
    responseType: 'none',
    timeout: `${requestTimeoutS}s`,
  }
}

/** @param {{status: number}} response */
function isRefused({ status }) {
  return status < 200 || status >= 400
}

/**
 * Return the tag of a request that begins now.
 * @param {string} verb
 * @param {Arm} arm
 */
function op(verb, arm) {
  const at = nowS()
  const { noisy, fromS } = windowAt(Math.floor((at - warmupS) / WINDOW_S))
  if (at < fromS + SETTLE_S) return `${verb}_settling`
  if (noisy === QUIET) return `${verb}_quiet`
  return `${verb}_${noisy === arm.name ? 'noisy' : 'beside'}`
}

/**
 * Return the window with a number; the warm-up is quiet.
 * @param {number} index
 * @returns {Window}
 */
export function windowAt(index) {
  const fromS = warmupS + index * WINDOW_S
  if (index < 0) return { noisy: QUIET, fromS: 0, toS: warmupS }
  const block = Math.floor(index / BLOCK.length)
  const order = shuffled(Math.floor(block / 2))
  const place = index % BLOCK.length
  const noisy = order[block % 2 ? BLOCK.length - 1 - place : place]
  return { noisy, fromS, toS: fromS + WINDOW_S }
}

/** @param {Arm} arm */
function windowsOf(arm) {
  const all = Array.from({ length: WINDOWS }, (_, index) => windowAt(index))
  return all.filter(({ noisy }) => noisy === arm.name)
}

/**
 * Return the windows of a block in an order that the seed decides.
 * @param {number} pair of blocks
 */
function shuffled(pair) {
  const left = [...BLOCK]
  return BLOCK.map((_, i) => left.splice(hash(seed, 1000 * pair + i) % left.length, 1)[0])
}

/** Return a number that no operation of the neighbour of an arm reaches. */
function mostOperations() {
  const ofOneClient = Math.ceil((WINDOW_S * NOISE_RATE) / CLIENTS)
  return CLIENTS * ofOneClient * (Math.ceil(WINDOWS / BLOCK.length) + 1)
}

/** Return the seconds since the load began. */
function nowS() {
  return (Date.now() - exec.scenario.startTime) / 1000
}
